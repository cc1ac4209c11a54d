"""torchrun's options at work, on real jobs."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.multiprocess.conftest import MARKER, PROMPT_S, Job, RankRun, clean_environment

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
BOTH_STREAMS = """
import os, sys
rank = os.environ["RANK"]
print("out", rank, "loss")
print("err", rank, file=sys.stderr)
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_output_is_shown_kept_redirected_and_picked_as_asked(run_ranks: RunRanks) -> None:
    options = ["-r", "0:1,2:3", "--local-ranks-filter", "0,2", "--duplicate-stdout-filters", "1 loss,2 loss"]
    run = run_ranks(BOTH_STREAMS, 3, launcher_args=options)
    assert run.exit_code == 0 and run.run_dir is not None
    assert run.stdout == ""  # rank 0's and 2's are redirected, rank 1's is not shown
    assert [line for line in run.stderr.splitlines() if "err" in line] == ["[0] err 0"]
    attempt = run.run_dir / "attempt_0"
    for rank in range(3):
        assert lines(attempt / f"{rank}" / "stdout.log") == [f"out {rank} loss"]
        assert lines(attempt / f"{rank}" / "stderr.log") == [f"err {rank}"]
    assert sorted(lines(attempt / "filtered_stdout.log")) == ["[1] out 1 loss", "[2] out 2 loss"]


def test_a_single_ranks_output_is_kept_if_asked_for(run_ranks: RunRanks) -> None:
    run = run_ranks(BOTH_STREAMS, 1, launcher_args=["-t", "3"])
    assert run.run_dir is not None and run.stdout == "[0] out 0 loss\n"
    assert lines(run.run_dir / "attempt_0" / "0" / "stderr.log") == ["err 0"]


def test_a_program_is_executed_as_it_is(start_job: StartJob) -> None:
    text = "echo $RANK of $WORLD_SIZE: $0 $1 $$; kill -9 $$"
    job = start_job(Path("sh"), 2, args=["-c", text, "me", "${local_rank}"], launcher_args=["--no-python"])
    run = job.finish()
    assert run.exit_code == 137 and "killed by SIGKILL (9)" in run.stderr
    shown = run.lines(0) + run.lines(1)
    assert shown and all(re.fullmatch(r"(\d) of 2: me \1 \d+", line) for line in shown), run


def test_a_missing_program_starts_no_rank(run_ranks: RunRanks) -> None:
    run = run_ranks(Path("no-such-program"), 2, launcher_args=["--no-python"])
    assert run.exit_code == 66 and "no such program: no-such-program" in run.stderr


def test_run_path_and_names_reach_the_ranks(run_ranks: RunRanks, tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(SHOW.replace("sys.argv[1:]", "sys.path[0] == os.getcwd()"))
    options = ["--run-path", "--role", "trainer", "--rdzv-id", "job7", "--max-restarts", "2"]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "--monitor-interval", "5"]
    run = run_ranks(path, 1, launcher_args=[*options, *meeting])
    assert run.exit_code == 0, run
    has_folder, seen = json.loads(run.stdout)
    assert not has_folder
    assert (seen["ROLE_NAME"], seen["TORCHELASTIC_RUN_ID"]) == ("trainer", "job7")
    assert (seen["TORCHELASTIC_RESTART_COUNT"], seen["TORCHELASTIC_MAX_RESTARTS"]) == ("0", "2")
    assert seen["TORCHELASTIC_SIGNALS_TO_HANDLE"] == "SIGTERM,SIGINT,SIGHUP,SIGQUIT"
    assert seen["TORCHELASTIC_USE_AGENT_STORE"] == "True"
    assert seen["TORCHELASTIC_ERROR_FILE"] == f"{run.run_dir}/attempt_0/0/error.json"


def test_variables_and_a_virtual_place_work_like_options(run_ranks: RunRanks) -> None:
    env = {"PET_NPROC_PER_NODE": "7", "PET_ROLE": "r", "PET_VIRTUAL_LOCAL_RANK": "1", "PET_STANDALONE": "1"}
    template = {"TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "<${role_name}:${local_rank}> "}
    run = run_ranks(
        SHOW, 2, args=["--n=${local_rank}"], env={**env, **template, "CUDA_VISIBLE_DEVICES": "4,6"}
    )
    assert run.exit_code == 0, run
    for rank in range(2):
        prefix = f"<r:{rank}> "
        (line,) = [line for line in run.stdout.splitlines() if line.startswith(prefix)]
        arguments, seen = json.loads(line.removeprefix(prefix))
        assert arguments == [f"--n={rank}"]
        assert (seen["RANK"], seen["LOCAL_RANK"], seen["CUDA_VISIBLE_DEVICES"]) == (
            str(rank),
            "0",
            "46"[rank],
        )


def test_events_are_recorded_and_shown_if_asked_for(run_ranks: RunRanks) -> None:
    run = run_ranks("import sys; sys.exit(3)", 1, launcher_args=["--event-log-handler", "console"])
    assert run.exit_code == 3 and run.run_dir is not None
    shown = [json.loads(line) for line in run.stderr.splitlines() if line.startswith("{")]
    assert [event["event"] for event in shown] == [
        "job_began",
        "attempt_began",
        "rank_ended",
        "attempt_ended",
    ]
    assert shown[2]["how"] == "exit code 3" and shown[3]["exit_code"] == 3
    assert shown[0]["command"][-1].endswith("script.py") and Path(shown[0]["folder"]).is_dir()
    assert [json.loads(line) for line in lines(run.run_dir / "events.jsonl")] == shown


def test_a_chosen_signal_reaches_the_ranks_and_ends_the_job(start_job: StartJob) -> None:
    text = (
        "import os, signal, sys, time\nsignal.signal(10, lambda *_: sys.exit(print('saved')))\n"
        "open('ready' + os.environ['RANK'], 'w').close()\nwhile True: time.sleep(0.05)"
    )
    job = start_job(text, 2, launcher_args=["--signals-to-handle", "SIGTERM,SIGUSR1"])
    folder = job.run_base.parent
    job.wait_for(lambda: (folder / "ready0").exists() and (folder / "ready1").exists())
    job.process.send_signal(signal.SIGUSR1)
    run = job.finish()
    assert run.exit_code == 128 + signal.SIGUSR1
    assert run.lines(0) == run.lines(1) == ["saved"]


def test_a_death_is_seen_at_once_whatever_the_monitor_interval(run_ranks: RunRanks) -> None:
    text = "import os, time\nos._exit(4) if os.environ['RANK'] == '1' else time.sleep(60)"
    run = run_ranks(text, 2, launcher_args=["--monitor-interval", "60", "--shutdown-timeout", "1"])
    assert run.exit_code == 4 and run.duration_s < PROMPT_S


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]])
def test_ranks_get_every_variable_that_torchrun_gives(
    torch: Any, run_ranks: RunRanks, tmp_path: Path, options: list[str]
) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    options = [*options, "--role", "r", "--rdzv-id", "x", "--max-restarts", "1"]
    theirs = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--tee=1", *options, "show.py"],
        cwd=tmp_path,
        env=clean_environment("none"),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    shown = re.findall(r"^\[r\d\]:\[\[\], (.*)\]$", theirs.stdout, re.MULTILINE)
    torchruns = {seen["RANK"]: seen for seen in map(json.loads, shown)}
    run = run_ranks(tmp_path / "show.py", 2, launcher_args=options)
    assert run.exit_code == 0, run
    own = {"MASTER_PORT", "MASTER_ADDR", "TORCHELASTIC_ERROR_FILE", "OMP_NUM_THREADS", MARKER}
    if "c10d" not in options:
        own.add("TORCHELASTIC_RUN_ID")  # torchrun makes one up, whatever --rdzv-id says
    for rank in range(2):
        ours = json.loads(run.lines(rank)[0])[1]
        given = {name: value for name, value in torchruns[str(rank)].items() if name not in os.environ}
        assert len(given) > 15 and given.keys() <= ours.keys()
        assert {name: ours[name] for name in given.keys() - own} == {
            name: given[name] for name in given.keys() - own
        }


def test_what_all_ranks_say_is_shown_once_if_asked_for(run_ranks: RunRanks) -> None:
    text = """
import os, sys, time
rank = int(os.environ["RANK"])
open(f"ready{rank}", "w").close()
while not all(os.path.exists(f"ready{other}") for other in range(3)): time.sleep(0.005)
for number in range(20):
    print("the same", number)
    time.sleep(0.01)
print("mine", rank)
"""
    run = run_ranks(text, 3, launcher_args=["--fold", "always"])
    assert run.exit_code == 0 and run.run_dir is not None
    assert run.stdout.count("mine") == 3 and run.stdout.count("the same") < 60, run
    for rank in range(3):
        assert lines(run.run_dir / "attempt_0" / f"{rank}" / "stdout.log") == [
            *(f"the same {number}" for number in range(20)),
            f"mine {rank}",
        ]
