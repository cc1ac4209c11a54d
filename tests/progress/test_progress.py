"""The progress bar: rank 0 alone shows it, a terminal sees a bar, a log file sees lines."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tqdm", reason="needs tqdm: pip install 'distrt[progress]'")

from distrt import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(file: io.StringIO, count: int = 5, **options: object) -> str:
    bar = progress.tqdm(range(count), desc="Training", file=file, **options)
    for number in bar:
        bar.set_postfix({"loss": f"{number / 2:.1f}"})
    return file.getvalue()


def test_a_terminal_sees_a_bar_that_is_drawn_over() -> None:
    text = shown(Terminal(), mininterval=0)
    assert text.count("\r") > 3 and "100%" in text and "loss=2.0" in text


def test_a_log_file_sees_lines_and_the_last_state() -> None:
    lines = shown(io.StringIO()).splitlines()
    assert "\r" not in "".join(lines) and len(lines) == 1
    assert lines[-1].startswith("Training: 100%") and "5/5" in lines[-1] and "loss=2.0" in lines[-1]


def test_lines_come_every_few_seconds_of_a_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = [0.0]
    monkeypatch.setattr(progress, "now", lambda: moment[0])
    file = io.StringIO()
    bar = progress.tqdm(range(100), file=file, mininterval=0, miniters=1)
    for _ in bar:
        moment[0] += 1.0
        bar.set_postfix(loss=1)
    lines = file.getvalue().splitlines()
    assert 18 <= len(lines) <= 22  # of 100 seconds, one in five


def test_other_ranks_show_nothing_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert shown(Terminal()) == ""
    assert "100%" in shown(Terminal(), disable=False)
    assert list(progress.trange(3)) == [0, 1, 2]


@pytest.mark.ci
def test_who_lacks_the_library_is_told_what_to_install(tmp_path: Path) -> None:
    program = "import sys; sys.modules['tqdm'] = None; import distrt.progress"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert "pip install 'distrt[progress]'" in done.stderr
