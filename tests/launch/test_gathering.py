"""Who takes part in an attempt on several machines, and what came of it."""

from dataclasses import replace
from typing import Any

import pytest

from launch.machines.gathering import Candidate, Roll, verdict_of
from launch.machines.meeting_place import MeetingError, MeetingPlace

STATIC = MeetingPlace(2, 2, 0, "h", 29500, True)
C10D = MeetingPlace(2, 3, None, "h", 29400, join_timeout_s=600, last_call_s=600)


def came(ticket: int, node_rank: int | None = None, nodes: tuple[int, int] = (2, 3)) -> Candidate:
    return Candidate(ticket, node_rank, 1, f"host{ticket}", nodes)


def tickets(place: MeetingPlace, found: list[Candidate], own: int = 0) -> list[int] | None:
    called = Roll(place, lambda: list(found), own).call()
    return None if called is None else [candidate.ticket for candidate in called]


def test_machines_with_numbers_are_in_their_order() -> None:
    assert tickets(STATIC, [came(0, 1, (2, 2)), came(1, 0, (2, 2))], own=1) == [1, 0]
    assert tickets(STATIC, [came(0, 1, (2, 2))]) is None


def test_machines_without_are_numbered_as_they_come_after_the_one_that_serves() -> None:
    assert tickets(C10D, [came(0), came(1), came(2)], own=1) == [1, 0, 2]
    assert tickets(C10D, [came(0), came(1), came(2), came(3)]) == [0, 1, 2]


def test_more_machines_than_the_least_number_get_a_last_call() -> None:
    found = [came(0), came(1)]
    roll = Roll(replace(C10D, last_call_s=0.0001), lambda: list(found), 0)
    assert tickets(C10D, found) is None
    while (called := roll.call()) is None:
        pass
    assert called == found


def test_machines_keep_their_numbers_and_others_take_what_is_left() -> None:
    def seated(seats: dict[int, int], *found: int) -> list[int] | None:
        called = Roll(C10D, lambda: [came(ticket) for ticket in found], 0, seats).call()
        return None if called is None else [candidate.ticket for candidate in called]

    before = {0: 0, 1: 1, 2: 2}
    assert seated(before, 0, 1, 2) == [0, 1, 2]
    assert seated({0: 0, 2: 2}, 0, 2, 3) == [0, 3, 2]  # 3 in the place of 1
    assert seated({0: 0, 2: 2}, 0, 2) == [0, 2]  # nobody is waited for who was not there
    assert seated(before, 0, 1) is None and seated(before, 0, 1, 3) is None
    assert seated({0: 1, 2: 0}, 0, 2, 3, 4) == [2, 0, 3]  # the one that serves need not be the first


def test_what_fails_where_an_elastic_job_loses_a_machine_is_no_failure() -> None:
    failed = record(1, failed_at=1.0)
    assert verdict_of({0: failed}, {1: "lost"})["exit_code"] == 1
    verdict = verdict_of({0: failed}, {1: "lost"}, is_elastic=True)
    assert verdict["exit_code"] == 69 and verdict["result"]["is_membership_change"]


@pytest.mark.parametrize(
    ("place", "found", "message"),
    [
        (
            STATIC,
            [came(0, 1, (2, 2)), came(1, 1, (2, 2))],
            "two machines have --node-rank 1: host0 and host1",
        ),
        (STATIC, [came(0, 0, (3, 3))], "--nnodes is 3 on host0, and 2 where the store is"),
        (C10D, [came(0, 1)], "host0 has another --rdzv-backend"),
        (replace(C10D, join_timeout_s=-1), [came(0)], "1 of 2 machines came to h:29400"),
    ],
)
def test_what_does_not_fit_is_said(place: MeetingPlace, found: list[Candidate], message: str) -> None:
    with pytest.raises(MeetingError, match=message):
        tickets(place, found)


def record(exit_code: int = 0, **what: Any) -> dict[str, Any]:
    usual = {"is_final": exit_code == 0, "is_consequence": False, "is_halt": False, "failed_at": 5.0}
    usual["stopped_by"] = None
    return {**usual, "exit_code": exit_code, **what}


OK, CAUSE, HALTED = record(), record(3), record(1, is_halt=True)
PEER_FAILED, STOPPED = record(1, is_consequence=True), record(130, is_final=True)


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([OK, OK], OK),
        ([OK, CAUSE], CAUSE),
        ([HALTED, CAUSE], CAUSE),
        ([PEER_FAILED, CAUSE], CAUSE),
        ([CAUSE, record(4, failed_at=4.0)], record(4, failed_at=4.0)),
        ([CAUSE, STOPPED], STOPPED),
        ([HALTED, PEER_FAILED], PEER_FAILED),
    ],
)
def test_the_cause_is_what_happened_first_by_itself(
    records: list[dict[str, Any]], expected: dict[str, Any]
) -> None:
    assert verdict_of(dict(enumerate(records)), {}) == expected


def test_a_lost_machine_is_the_cause_of_consequences_and_no_others() -> None:
    verdict = verdict_of({0: PEER_FAILED}, {1: "machine 1 (h) is lost: why"})
    assert (verdict["text"], verdict["exit_code"]) == ("distrt-launch: machine 1 (h) is lost: why\n", 69)
    assert verdict_of({0: CAUSE}, {1: "lost"}) == CAUSE


LEAVES, SAVED = record(75, is_final=True, stopped_by="SIGTERM"), record(75, is_final=True)
KILLED = record(143, is_final=True, stopped_by="SIGTERM")


@pytest.mark.parametrize(
    ("records", "left"),
    [
        ([SAVED, LEAVES], [1]),
        ([HALTED, KILLED], [1]),  # of a script that does not listen
        ([LEAVES, OK, LEAVES], [0, 2]),
        ([LEAVES, LEAVES], None),
        ([record(130, is_final=True, stopped_by="SIGINT"), LEAVES], None),
        ([SAVED, SAVED], None),  # somebody has told the ranks
    ],
)
def test_a_machine_that_is_told_to_go_is_done_without_where_machines_come_and_go(
    records: list[dict[str, Any]], left: list[int] | None
) -> None:
    verdict = verdict_of(dict(enumerate(records)), {}, is_elastic=True)
    if left is None:
        assert verdict["is_final"] and verdict in records
    else:
        assert verdict["result"]["left"] == left and verdict["result"]["is_membership_change"]
        assert verdict["text"].count("was told to go") == len(left) and not verdict["is_final"]
    assert verdict_of(dict(enumerate(records)), {}) in records
