"""``distrt-launch trace``, called in this process: what it writes, and what it says of what cannot be done."""

import json
from pathlib import Path

import pytest

from launch.command.trace import trace
from launch.exit_codes import CANNOT_WRITE, NO_SCRIPT, OK

STEP = {"ph": "X", "cat": "phase", "name": "optimizer", "pid": 1, "tid": 1, "ts": 1.0, "dur": 2.0, "args": {}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for rank in range(2):
        written = {"traceEvents": [STEP], "distributedInfo": {"rank": rank, "world_size": 2}}
        Path(f"rank{rank}.json").write_text(json.dumps(written))
    Path("empty.json").write_text('{"traceEvents": []}')
    return tmp_path


@pytest.mark.parametrize("output", ["all.json", "all.json.gz", "step.SVG", "ünï ☃.json"])
def test_files_become_what_the_name_says(folder: Path, output: str) -> None:
    assert trace(["rank0.json", "rank1.json", "-o", output]) == OK
    data = Path(output).read_bytes()
    assert data.startswith({"z": b"\x1f\x8b", "G": b"<svg"}.get(output[-1], b"{"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["rank0.json"], "required: -o"),
        (["-o", "a.json"], "required: files"),
        (["rank0.json", "-o", "picture.png"], "ends in .json, .json.gz or .svg, got picture.png"),
        (["rank0.json", "-o", "a.svg", "--step", "x"], "invalid int value: 'x'"),
    ],
)
def test_wrong_arguments_are_told(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        trace(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["missing.json", "-o", "a.json"], NO_SCRIPT, "missing.json is no trace: No such file"),
        ([".", "-o", "a.json"], NO_SCRIPT, ". is no trace: Is a directory"),
        (["empty.json", "-o", "a.svg"], NO_SCRIPT, "nothing was recorded, or not by distrt's profiler"),
        (["rank0.json", "-o", "a.svg", "--step", "7"], NO_SCRIPT, "has 1 whole steps, so step 7"),
        (
            ["rank0.json", "-o", "missing/a.json"],
            CANNOT_WRITE,
            "missing/a.json cannot be written (No such file",
        ),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert trace(arguments) == code
    told = capsys.readouterr()
    assert said in told.err and told.err.count("\n") == 1 and not told.out
    assert not [
        each.name for each in folder.iterdir() if each.name not in {"rank0.json", "rank1.json", "empty.json"}
    ]
