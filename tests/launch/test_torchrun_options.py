"""Every option of torchrun's is known, with its spellings, its default and its variable, and is written about."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from launch.command.arguments import parse_arguments
from launch.command.options import OPTIONS, OWN_OPTIONS, Option, make_parser
from launch.ranks.supervisor import TimeLimits
from launch.reports.logs import STDERR, STDOUT
from tests.launch.conftest import Refused

DOCS = Path(__file__).resolve().parents[2] / "docs" / "launching.md"
#: What stands for "not given" differs, and is the same to a user.
SAME = {"duplicate_stdout_filters": [], "duplicate_stderr_filters": []}
TAKES_FRACTIONS = {"shutdown_timeout"}


def torchruns(torch: Any) -> dict[str, argparse.Action]:
    from torch.distributed.run import get_args_parser

    return {
        action.dest: action
        for action in get_args_parser()._actions
        if action.option_strings and action.dest != "help"
    }


def test_no_option_of_torchruns_is_missing(torch: Any) -> None:
    assert {option.name.replace("-", "_") for option in OPTIONS} == set(torchruns(torch))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_an_option_is_torchruns(torch: Any, option: Option) -> None:
    theirs = torchruns(torch)[option.name.replace("-", "_")]
    assert set(theirs.option_strings) <= set(option.spellings)
    assert theirs.default == option.default
    assert (list(theirs.choices) if theirs.choices else None) == (
        list(option.choices) if option.choices else None
    )
    assert (theirs.nargs == 0) == (option.kind is bool)
    if theirs.dest in TAKES_FRACTIONS:
        assert (theirs.type, option.kind) == (int, float)
    elif option.kind is not bool and theirs.dest not in SAME:
        assert theirs.type is option.kind
    assert (type(theirs).__name__ in ("env", "check_env")) == option.has_variable


@pytest.mark.parametrize("option", (*OPTIONS, *OWN_OPTIONS), ids=lambda option: option.name)
def test_an_option_is_written_about(option: Option) -> None:
    assert f"| `--{option.name}`" in DOCS.read_text()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_a_variable_gives_the_default_and_the_command_line_wins(option: Option) -> None:
    texts = {bool: "1", int: "7", float: "2.5", str: "text"}
    text = option.choices[-1] if option.choices else texts[option.kind]
    name, dest = f"PET_{option.name.replace('-', '_').upper()}", option.name.replace("-", "_")
    found = getattr(make_parser({name: text}).parse_args(["t.py"]), dest)
    assert found == (option.kind(text) if option.has_variable else option.default)
    assert getattr(make_parser({name: ""}).parse_args(["t.py"]), dest) == option.default
    if option.kind is not bool:
        other = option.choices[0] if option.choices else {int: "8", float: "3.5", str: "x"}[option.kind]
        given = make_parser({name: text}).parse_args([option.spellings[-1], other, "t.py"])
        assert getattr(given, dest) == option.kind(other)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"PET_STANDALONE": "yes"}, "PET_STANDALONE='yes': expected 0 or 1"),
        ({"PET_MAX_RESTARTS": "two"}, "two"),
        ({"PET_START_METHOD": "teleport"}, "PET_START_METHOD='teleport'"),
        ({"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "soon"}, "TORCH_ELASTIC_SHUTDOWN_TIMEOUT='soon'"),
    ],
)
def test_a_wrong_variable_is_named(refused: Refused, variables: dict[str, str], message: str) -> None:
    assert message in refused(["t.py"], variables)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rdzv-backend", "etcd"], "use c10d or static"),
        (["--rdzv-backend", "etcd-v2"], "use c10d or static"),
        (["--rdzv-endpoint", "host:port"], "expected HOST:PORT"),
        (["--rdzv-conf", "join_timout=3"], "'join_timout' is not one of"),
        (["--rdzv-conf", "join_timeout=soon"], "expected seconds"),
        (["--rdzv-conf", "join_timeout=0"], "more than 0"),
        (["--rdzv-conf", "store_type=file"], "meet at an address"),
        (["--nnodes", "2", "--rdzv-backend", "c10d"], "needs --rdzv-endpoint"),
        (
            ["--nnodes=2", "--rdzv-backend=c10d", "--rdzv-endpoint=a:1,b:2"],
            "several are for --nnodes MIN:MAX",
        ),
        (["--nnodes", "2", "--standalone"], "--standalone is one machine"),
        (["--nnodes", "2", "--node-rank", "2"], "numbered 0 to 1"),
        (["--nnodes", "2", "--master-port", "0"], "need a port that all of them know"),
        (["--nproc-per-node", "xpu"], "not known here"),
        (["--max-restarts", "-1"], "0 or more"),
        (["--monitor-interval", "0"], "more than 0"),
        (["--start-method", "fork", "--run-path"], "leave it out"),
        (["--event-log-handler", "mine"], "expected null or console"),
        (["--no-python", "-m"], "give one of them"),
        (["-r", "4"], "expected 0 (none)"),
        (["-t", "0:7"], "expected 0 (none)"),
        (["--local-ranks-filter", "a"], "expected numbers"),
        (["--logs-specs", "mine"], "cannot be loaded here"),
        (["--numa-binding", "node"], "numactl"),
        (["--signals-to-handle", "SIGTERM,SIGWHAT"], "SIGWHAT is no signal"),
        (["--signals-to-handle", "SIGKILL"], "SIGKILL is no signal"),
        (["--log-cap-mib", "0"], "at least 1"),
        (["--hang-timeout", "0"], "more than 0"),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_reason(
    refused: Refused, arguments: list[str], message: str
) -> None:
    assert message in refused([*arguments, "t.py"], {})


def test_more_ranks_than_visible_gpus_have_no_virtual_place(capsys: pytest.CaptureFixture[str]) -> None:
    variables = {"CUDA_VISIBLE_DEVICES": "4,5"}
    given = ["--virtual-local-rank", "--nproc-per-node"]
    assert parse_arguments([*given, "2", "t.py"], variables).has_virtual_local_rank
    with pytest.raises(SystemExit):
        parse_arguments([*given, "3", "t.py"], variables)
    assert "local rank 2 has no GPU in CUDA_VISIBLE_DEVICES=4,5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "host", "port"),
    [
        ([], "127.0.0.1", 0),
        (["--master-port", "29501"], "127.0.0.1", 29501),
        (["--rdzv-endpoint", "h:1"], "h", 1),
        (["--rdzv-endpoint", "h"], "h", 29500),
        (["--rdzv-backend", "c10d"], "127.0.0.1", 0),
        (["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"], "127.0.0.1", 0),
        (["--rdzv-backend=c10d", "--rdzv-endpoint=h"], "h", 29400),
        (["--rdzv-backend", "c10d", "--rdzv-endpoint", "[::1]:29400"], "::1", 29400),
        (["--standalone", "--rdzv-backend", "c10d", "--rdzv-endpoint", "h:1"], "127.0.0.1", 0),
        (["--nnodes", "2", "--node-rank", "1", "--master-addr", "h"], "h", 29500),
    ],
)
def test_the_machines_meet_where_torchruns_would(arguments: list[str], host: str, port: int) -> None:
    place = parse_arguments([*arguments, "t.py"], {}).meeting
    assert (place.host, place.port) == (host, port)


def test_the_machines_patience_is_in_the_rendezvous_settings() -> None:
    conf = "join_timeout=60,last_call_timeout=3,heartbeat_timeout=4,is_host=1,read_timeout=9"
    place = parse_arguments(
        ["--nnodes", "1:4", "--rdzv-backend", "c10d", "--rdzv-endpoint", "h:1", "--rdzv-conf", conf, "t.py"],
        {},
    ).meeting
    assert (place.join_timeout_s, place.last_call_s, place.silence_s, place.is_host) == (60, 3, 4, True)
    assert (place.min_nodes, place.max_nodes, place.node_rank) == (1, 4, None)


def test_streams_are_chosen_for_all_ranks_or_by_rank() -> None:
    plan = parse_arguments(["-r", "0:3,1:1", "--tee", "2", "t.py"], {}).output
    assert [plan.redirects.has(rank, STDOUT) for rank in range(3)] == [True, True, False]
    assert [plan.redirects.has(rank, STDERR) for rank in range(3)] == [True, False, False]
    assert plan.tee.has(5, STDERR) and not plan.tee.has(5, STDOUT)


def test_texts_to_pick_lines_by_may_have_commas() -> None:
    plan = parse_arguments(["--duplicate-stdout-filters", "loss,a,,b", "t.py"], {}).output
    assert plan.picked[STDOUT] == ("loss", "a,b") and plan.picked[STDERR] == ()


def test_a_shutdown_timeout_may_come_from_torchs_variable() -> None:
    assert parse_arguments(["t.py"], {"TORCH_ELASTIC_SHUTDOWN_TIMEOUT": "3"}).limits == TimeLimits(3.0, 3.0)


def test_shortened_names_work_as_in_torchrun() -> None:
    assert parse_arguments(["--nnode=1", "--max-r", "2", "t.py"], {}).max_restarts == 2


@pytest.mark.parametrize("script_arguments", [["--n=3", "--m", "--", "-r"], ["--help"], []])
@pytest.mark.parametrize(
    "options", [[], ["--max-r", "2", "-m"], ["--nproc-per-node=2", "-t", "3", "-r3"], ["--standalone", "--"]]
)
def test_the_scripts_own_arguments_are_not_looked_at(options: list[str], script_arguments: list[str]) -> None:
    target = parse_arguments([*options, "t.py", *script_arguments], {}).target
    assert (target.name, target.arguments) == ("t.py", tuple(script_arguments))
