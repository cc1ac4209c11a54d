"""Whom a rank blames that has waited for too long, from what it can see of the others."""

from __future__ import annotations

import pytest

from distrt.comm.calls import describe
from distrt.comm.diagnosis import Diagnosis
from distrt.comm.status import Status, StatusPage

GROUP = 7


def label(text: str, name: str, number: int | None = None) -> str:
    return f"{name} #{number}: {text}"


class Seen:
    """Rank 0's view: of each rank how many calls it has begun; None for one that does not answer.

    Of the ranks in ``far`` nothing is known before they are asked.
    """

    rank = 0

    def __init__(self, begun: list[int | None], far: tuple[int, ...] = ()) -> None:
        self.size = len(begun)
        self.asked: list[int] = []
        self._far = set(far)
        self._pages: dict[int, StatusPage] = {}
        for rank, count in enumerate(begun):
            if count is not None:
                page = self._pages[rank] = StatusPage(rank)
                for number in range(1, count + 1):
                    page.begin(GROUP, number, describe("all_reduce", number), 0)

    def peek(self, rank: int) -> Status | None:
        return None if rank in self._far or rank not in self._pages else self._pages[rank].read()

    def stacks(self, rank: int, patience_s: float) -> str:
        self.asked.append(rank)
        self._far.discard(rank)
        return ""

    def plight(self, rank: int) -> str:
        return ""

    def is_silent(self, rank: int) -> bool:
        return False

    def give_up(self, because: str) -> None:
        pass


@pytest.mark.parametrize(
    ("begun", "far", "waits_for", "blamed"),
    [
        ([3, 3, 2], (), [1], "rank 2"),  # rank 1 waits for it, too
        ([3, 3, None], (), [1, 2], "rank 2"),  # stopped, on another machine, before anybody had asked it
        ([3, 3, None], (), [1], "rank 2"),
        ([3, 3, 2], (1, 2), [1, 2], "rank 2"),  # what they do is known once they are asked
        ([3, 200, 2], (), [1, 2], "rank 2"),  # rank 1 has launched more than its page has room for
        ([3, 3, 3], (), [1, 2], "ranks 1, 2"),  # all have come, and the answer is on its way
        ([None, None, None], (), [1, 2], "ranks 1, 2"),
    ],
)
def test_who_has_not_come_is_blamed_and_not_who_waits_as_well(begun, far, waits_for, blamed):
    diagnosis = Diagnosis(Seen(begun, far), GROUP, "world", label)
    told = str(diagnosis.late(1.5, waits_for, ("all_reduce", 3)))
    assert told.splitlines()[0] == f"all_reduce #3: waited 1.5 s for {blamed}"


def test_for_a_message_only_its_sender_is_asked():
    seen = Seen([3, 3, 3], far=(1, 2))
    told = str(Diagnosis(seen, GROUP, "world", label).late(1.5, [2], ("recv", 0)))
    assert "waited 1.5 s for rank 2" in told and seen.asked == [2]


def test_a_report_names_who_has_not_come(capsys):
    Diagnosis(Seen([3, 3, 2], far=(1, 2)), GROUP, "world", label).report(10.0, [1, 2], ("all_reduce", 3))
    assert capsys.readouterr().err.startswith("all_reduce #3: has waited 10 s for rank 2\n")
