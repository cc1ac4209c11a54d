"""Who is to blame where ranks do not move any more, and when that is said."""

import mmap
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from distrt.comm.status import PAGE_BYTES, CallRecord, Status, StatusPage
from launch.ranks.hangs import HangWatch, Seen, blame


def seen(rank: int, call: int | None, *, still_s: float = 9.0, is_stopped: bool = False) -> Seen:
    """A rank in call number ``call``, or (None) in none."""
    number = 1 if call is None else call
    record = CallRecord(7, number, number, f"call{number}", "train.py:1 in main", 0.0, call is not None)
    return Seen(rank, 100 + rank, Status(100 + rank, 1, rank, 0, [record], ""), still_s, is_stopped)


@pytest.mark.parametrize(
    ("ranks", "culprits", "is_certain"),
    [
        ([seen(0, 5), seen(1, None), seen(2, 5)], [1], True),
        ([seen(0, 5), seen(1, None), seen(2, 5, is_stopped=True)], [2], True),
        ([seen(0, 5), seen(1, 5), seen(2, 4)], [2], True),
        ([seen(0, 5), seen(1, 5)], [0, 1], False),
        ([seen(0, 5), seen(1, None, still_s=0.1)], [0], False),
    ],
)
def test_who_keeps_the_others_waiting_is_to_blame(
    ranks: list[Seen], culprits: list[int], is_certain: bool
) -> None:
    found, certain = blame(ranks, 4.0)
    assert ([each.rank for each in found], certain) == (culprits, is_certain)


def page(folder: Path, rank: int) -> StatusPage:
    path = folder / f"rank{rank}.status"
    path.write_bytes(bytes(PAGE_BYTES))
    with path.open("r+b") as file:
        return StatusPage(rank, memory=mmap.mmap(file.fileno(), PAGE_BYTES))


def test_a_rank_is_still_when_its_page_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(
        "launch.ranks.hangs.time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None)
    )
    watch = HangWatch(3.0, tmp_path, tmp_path, sees_all=True)
    monkeypatch.setattr(watch, "_stacks", lambda ranks: {1: "File train.py, line 3"})
    pages = [page(tmp_path, rank) for rank in range(2)]
    alive: Any = {rank: SimpleNamespace(pid=os.getpid()) for rank in range(3)}  # rank 2 keeps no page
    assert watch.look(alive) is None
    for _ in range(5):  # rank 0 moves, and so does rank 1 for a while
        now[0] += 2.0
        for each in pages:
            each.report(None, 1, None)
        assert watch.look(alive) is None
    now[0] += 2.0
    pages[0].report(None, 1, None)
    assert watch.look(alive) is None
    now[0] += 2.0
    pages[0].report(None, 1, None)
    halt = watch.look(alive)
    assert halt is not None and (halt.exit_code, halt.culprits) == (71, (1,))
    assert "rank 1 (pid" in halt.text and "has not moved for 4.0 s" in halt.text and "line 3" in halt.text
    assert "rank 0" in (tmp_path / "hang.txt").read_text()


def test_who_may_wait_for_another_machine_is_given_more_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(
        "launch.ranks.hangs.time", SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: None)
    )
    monkeypatch.setattr("launch.ranks.hangs.blame", lambda found, still_s: (list(found), False))
    watch = HangWatch(3.0, tmp_path, tmp_path, sees_all=False)
    monkeypatch.setattr(watch, "_stacks", lambda ranks: {})
    _page = page(tmp_path, 0)
    alive: Any = {0: SimpleNamespace(pid=os.getpid())}
    assert watch.look(alive) is None
    now[0] += 4.0
    assert watch.look(alive) is None
    now[0] += 1.0
    halt = watch.look(alive)
    assert halt is not None and "waits: it has not moved for 5.0 s" in halt.text
