"""Files of the ranks' output: how large they get, and what a full disk does."""

from pathlib import Path

import pytest

from launch.reports.logs import STDOUT, LineFilter, LogFile, OutputPlan, StreamChoice


def test_a_log_keeps_the_newest_bytes_within_its_cap(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "stdout.log", 1000)
    lines = [b"%04d\n" % number for number in range(1000)]
    for line in lines:
        log.write(line)
    log.close()
    kept = (tmp_path / "stdout.log.1").read_bytes() + (tmp_path / "stdout.log").read_bytes()
    assert 1000 <= len(kept) <= 2000
    assert b"".join(lines).endswith(kept) and log.lost_bytes == 0


def test_what_the_disk_does_not_take_is_counted() -> None:
    log = LogFile(Path("/dev/full"), 1000)
    log.write(b"x" * 10)
    log.write(b"y" * 5)
    log.close()
    assert log.lost_bytes == 15
    nowhere = LogFile(Path("/proc/nowhere/stdout.log"), 1000)
    nowhere.write(b"z")
    nowhere.close()
    assert nowhere.lost_bytes == 1


def test_picked_lines_are_found_behind_the_prefix(tmp_path: Path) -> None:
    picked = LineFilter(("0", "loss"), LogFile(tmp_path / "picked", 1000))
    picked.write(b"[0] nothing\n[0] loss 3\n[0] 10\n", b"[0] ")
    picked.close()
    assert (tmp_path / "picked").read_bytes() == b"[0] loss 3\n[0] 10\n"


@pytest.mark.parametrize(
    ("plan", "local_size", "expected"),
    [
        (OutputPlan(), 1, False),
        (OutputPlan(), 2, True),
        (OutputPlan(tee=StreamChoice(3)), 1, True),
        (OutputPlan(redirects=StreamChoice(None, {0: 1})), 1, True),
        (OutputPlan(shown_ranks=frozenset({0})), 1, True),
        (OutputPlan(picked={STDOUT: ("x",)}), 1, True),
        (OutputPlan(picked={STDOUT: ()}), 1, False),
    ],
)
def test_a_single_ranks_output_goes_straight_through_unless_something_is_asked_of_it(
    plan: OutputPlan, local_size: int, expected: bool
) -> None:
    assert plan.needs_pipes(local_size) is expected
