"""What the kernel's counts say about processes that it has killed for want of memory."""

from pathlib import Path

import pytest

from launch.ranks.memory import MemoryWatch


@pytest.mark.parametrize(
    ("version", "counts", "limit"),
    [(1, "memory.oom_control", "memory.limit_in_bytes"), (2, "memory.events", "memory.max")],
)
def test_a_kill_in_a_group_with_a_limit_is_told_with_it(
    tmp_path: Path, version: int, counts: str, limit: str
) -> None:
    machine, group = tmp_path / "vmstat", tmp_path / "group"
    group.mkdir()
    machine.write_text("nr_free_pages 1\noom_kill 7\n")
    (group / counts).write_text("oom 9\noom_kill 2\n")
    (group / limit).write_text(f"{3 << 29}\n")
    watch = MemoryWatch([(version, tmp_path), (version, group)], machine)
    assert watch.news() == ""
    (group / counts).write_text("oom 10\noom_kill 3\n")
    machine.write_text("nr_free_pages 1\noom_kill 8\n")
    assert watch.news() == f"out of memory: the limit of the control group {group} is 1.5 GiB"


@pytest.mark.parametrize("limit", ["max", "9223372036854771712"])
def test_a_kill_without_a_limit_may_be_anybodys(tmp_path: Path, limit: str) -> None:
    machine, group = tmp_path / "vmstat", tmp_path / "group"
    group.mkdir()
    for name, number in (("before", 0), ("after", 1)):
        machine.write_text(f"oom_kill {number}\n")
        (group / "memory.events").write_text(f"oom_kill {number}\n")
        (group / "memory.max").write_text(limit)
        if name == "before":
            watch = MemoryWatch([(2, group)], machine)
    assert watch.news().startswith("out of memory, it seems: the kernel has killed for it on this machine")


def test_a_system_that_counts_nothing_has_no_news(tmp_path: Path) -> None:
    assert MemoryWatch([(2, tmp_path), (1, tmp_path)], tmp_path / "none").news() == ""
