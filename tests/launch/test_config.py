"""A job in a file, and a job that is only shown."""

import os
from pathlib import Path

import pytest

from launch.cli import main
from launch.command.arguments import parse_arguments
from tests.launch.conftest import Refused

JOB = """
nproc-per-node = 2
max_restarts = 3
tee = "3"
standalone = true
script = "train.py"
arguments = ["--epochs", 3]
[env]
NAME = "a value"
COUNT = 1
"""


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    Path("job.toml").write_text(JOB)
    Path("train.py").write_text("")
    return "job.toml"


def test_a_file_gives_options_script_and_variables(job: str) -> None:
    given = parse_arguments(["--config", job], {})
    assert (given.local_size, given.max_restarts) == (2, 3)
    assert (given.target.name, given.target.arguments) == ("train.py", ("--epochs", "3"))
    assert given.variables == {"NAME": "a value", "COUNT": "1"}
    assert given.output.tee.has(0, 1)


def test_the_command_line_wins_over_the_file_and_the_file_over_variables(job: str) -> None:
    variables = {"PET_MAX_RESTARTS": "9", "PET_ROLE": "r"}
    given = parse_arguments([f"--config={job}", "--nproc-per-node", "4", "other.py", "x"], variables)
    assert (given.local_size, given.max_restarts, given.role) == (4, 3, "r")
    assert (given.target.name, given.target.arguments) == ("other.py", ("x",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nproc = 2", "nproc = 2: no such key is expected"),
        ("standalone = 1", "standalone = 1: true or false is expected"),
        ("tee = true", "tee = True: a number or text is expected"),
        ("script = 3", "expected script as text"),
        ("tee =", "Invalid value"),
        ("max-restarts = 'two'", "invalid int value: 'two'"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, refused: Refused, content: str, message: str) -> None:
    path = tmp_path / "job.toml"
    path.write_text(content)
    assert message in refused(["--config", str(path), "t.py"], {})


def test_a_file_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--config", "/nowhere/job.toml", "t.py"], {})
    assert "/nowhere/job.toml" in capsys.readouterr().err


def test_a_dry_run_shows_every_rank_and_no_secret(
    job: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTRT_JOB_SECRET", "5ec2e7")
    before = dict(os.environ)
    assert main(["--config", job, "--dry-run", "--rdzv-id", "x"]) == 0
    shown = capsys.readouterr().out
    assert "# rank 0 of 2\n" in shown and "# rank 1 of 2\n" in shown
    assert "\nNAME='a value' \\\n" in shown and "\nLOCAL_RANK=1 \\\n" in shown
    assert shown.rstrip().endswith(" train.py --epochs 3") and "5ec2e7" not in shown
    assert os.environ == before and sorted(os.listdir()) == ["job.toml", "train.py"]


def test_a_dry_run_shows_a_machines_place(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--nnodes=3", "--node-rank=2", "--master-addr=h", "--nproc-per-node=2", "--dry-run", "-m"]
    assert main([*options, "train", "x y"]) == 0
    shown = capsys.readouterr().out
    assert "# rank 5 of 6\n" in shown and "\nMASTER_PORT=29500 \\\n" in shown
    assert shown.rstrip().endswith(" -m train 'x y'")
