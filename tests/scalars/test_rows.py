"""Numbers as rows: what is written is read back, also after a run was killed, and by other programs."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import distrt as torch
from distrt.core.process import activity
from distrt.scalars import CSVWriter, JSONLWriter

WRITERS = {"csv": CSVWriter, "jsonl": JSONLWriter}


def rows_of(path: Path) -> list[tuple[str, str, str]]:
    """Step, tag and value of each row, as other programs read them."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
    assert all(float(row["wall_time"]) > 1e9 or row["tag"] == "old" for row in found)
    return [(str("" if row["step"] is None else row["step"]), row["tag"], str(row["value"])) for row in found]


@pytest.mark.parametrize("kind", WRITERS)
def test_numbers_and_texts_become_rows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "new" / f"run.{kind}"
    with WRITERS[kind](path) as writer:
        writer.add_scalar("loss", torch.tensor([0.5]), 1)
        writer.add_scalars("accuracy", {"train": 1, "test": 0.25}, 2)
        writer.add_scalar("loss", float("nan"))
        writer.add_text("note", 'two\nlines, "quoted"', 3)
        writer.add_hparams({"lr": 0.1, "name": "adam"}, {"best": 0.9}, global_step=4)
        assert writer.get_logdir() == str(tmp_path / "new")
        writer.flush()
    assert rows_of(path) == [
        ("1", "loss", "0.5"),
        ("2", "accuracy/train", "1.0"),
        ("2", "accuracy/test", "0.25"),
        ("", "loss", "nan"),
        ("3", "note", 'two\nlines, "quoted"'),
        ("4", "hparams/lr", "0.1"),
        ("4", "hparams/name", "adam"),
        ("4", "best", "0.9"),
    ]
    with pytest.raises(ValueError, match="is closed"):
        writer.add_scalar("loss", 1.0)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_run_that_goes_on_adds_to_whole_rows(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"run.{kind}"
    with WRITERS[kind](path) as writer:
        for step in range(5):
            writer.add_scalar("loss", step / 2, step)
    path.write_bytes(path.read_bytes()[:-4])  # of the last row, a part
    with WRITERS[kind](path, purge_step=3) as writer:
        writer.add_scalar("loss", 9, 3)
    values = ["0.0", "0.5", "1.0", "9.0"]
    assert rows_of(path) == [(str(step), "loss", value) for step, value in enumerate(values)]


@pytest.mark.ci
@pytest.mark.parametrize("kind", WRITERS)
def test_a_killed_run_leaves_all_its_rows(tmp_path: Path, kind: str) -> None:
    program = f"""
import os, signal
from distrt.scalars import {WRITERS[kind].__name__} as Writer
writer = Writer("run.{kind}")
for step in range(100):
    writer.add_scalar("loss", step, step)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(torch.__file__).parents[1])},
    )
    assert done.returncode == -signal.SIGKILL
    assert [row[0] for row in rows_of(tmp_path / f"run.{kind}")] == [str(step) for step in range(100)]


def test_another_file_is_not_added_to(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        ValueError, match=r"x\.csv is no file of a CSVWriter: expected 'wall_time,step,tag,value"
    ):
        CSVWriter(tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text() == "a,b\n1,2\n"


def test_the_runs_record_hears_the_numbers(tmp_path: Path) -> None:
    heard: list[tuple[str, float, int | None]] = []

    class Ear(activity.Listener):
        def note(self, name: str, value: float, step: int | None) -> None:
            heard.append((name, value, step))

    ear = Ear()
    activity.listen(ear)
    try:
        with JSONLWriter(tmp_path / "run.jsonl") as writer:
            writer.add_scalar("loss", 0.5, 7)
    finally:
        activity.leave(ear)
    assert heard == [("loss", 0.5, 7)]


@pytest.mark.parametrize("kind", [CSVWriter, JSONLWriter])
def test_a_row_that_is_none_is_named_when_rows_are_taken_away(tmp_path: Path, kind: type[CSVWriter]) -> None:
    path = tmp_path / "rows"
    with kind(path) as writer:
        writer.add_scalar("loss", 1.0, 1)
    with path.open("a") as file:
        file.write("no row\n")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"rows: row 2 is no row of a {kind.__name__}"):
        kind(path, purge_step=5)
    assert path.read_bytes() == before


def test_a_writer_that_was_closed_has_nothing_to_flush(tmp_path: Path) -> None:
    writer = CSVWriter(tmp_path / "rows.csv")
    writer.close()
    writer.flush()
