"""What the machine that serves the control store decides: who takes part in an attempt, and what came of it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from launch.exit_codes import PREEMPTED, UNREACHABLE
from launch.machines.meeting_place import MeetingError, MeetingPlace

__all__ = ["Candidate", "Roll", "verdict_of"]


@dataclass(frozen=True)
class Candidate:
    """A machine that wants to take part.

    Attributes:
        ticket: its number, in the order of coming; no two launchers have the same.
        node_rank: the number that its user gave it; None with c10d.
        standby: where it would serve the control store, were it to take over; none where machines do not come and go.
    """

    ticket: int
    node_rank: int | None
    local_size: int
    host: str
    nodes: tuple[int, int]
    standby: tuple[str, int] | None = None


class Roll:
    """Calls the roll of one attempt.

    Args:
        candidates: returns who has come so far, and is still connected.
        own_ticket: the machine that serves the store; where machines are numbered as they come, it is the first.
        seats: the numbers of the attempt before, by ticket, of the machines that are not lost. They are waited for, and
            nobody else is; each keeps its number, as far as there are so many.
    """

    def __init__(
        self,
        place: MeetingPlace,
        candidates: Callable[[], list[Candidate]],
        own_ticket: int,
        seats: Mapping[int, int] = {},
    ) -> None:
        self._seats = seats
        self._place = place
        self._candidates = candidates
        self._own_ticket = own_ticket
        self._deadline = time.monotonic() + place.join_timeout_s
        self._last_call: float | None = None

    def call(self) -> list[Candidate] | None:
        """Return the machines in the order of their numbers, or None as long as more are waited for.

        Raises:
            MeetingError: two machines have one number, they disagree, or too few have come in time.
        """
        found, place, now = self._candidates(), self._place, time.monotonic()
        self._require_agreement(found)
        found.sort(key=self._order)
        if len(found) >= place.min_nodes:
            self._last_call = self._last_call or now + place.last_call_s
            if self._are_all_here(found) or now >= self._last_call:
                return self._seated(found[: place.max_nodes])
            return None
        if now < self._deadline:
            return None
        here = ", ".join(f"{it.host} (machine {self._number(it, found)})" for it in found)
        raise MeetingError(
            f"{len(found)} of {place.min_nodes} machines came to {place.address} within {place.join_timeout_s:g} s: "
            f"{here}; is distrt-launch running on the others, with the same address?"
        )

    def _order(self, candidate: Candidate) -> tuple[int, int, int]:
        if candidate.node_rank is not None:
            return candidate.node_rank, 0, 0
        is_new = candidate.ticket not in self._seats
        return int(candidate.ticket != self._own_ticket), int(is_new), candidate.ticket

    def _are_all_here(self, found: list[Candidate]) -> bool:
        """Whether nobody is to be waited for: first as many as there may be, later those that were there before."""
        if self._seats:
            return self._seats.keys() <= {it.ticket for it in found}
        return len(found) >= self._place.max_nodes

    def _seated(self, found: list[Candidate]) -> list[Candidate]:
        """The machines by their numbers: those that had one keep it where it still exists; others get what is left."""
        seats: list[Candidate | None] = [None] * len(found)
        rest = []
        for candidate in found:
            number = self._seats.get(candidate.ticket, len(found))
            if number < len(found):
                seats[number] = candidate
            else:
                rest.append(candidate)
        waiting = iter(rest)
        return [next(waiting) if seat is None else seat for seat in seats]

    def _number(self, candidate: Candidate, found: list[Candidate]) -> int:
        return found.index(candidate) if candidate.node_rank is None else candidate.node_rank

    def _require_agreement(self, found: list[Candidate]) -> None:
        numbered: dict[int, Candidate] = {}
        for candidate in found:
            if candidate.nodes != (self._place.min_nodes, self._place.max_nodes):
                raise MeetingError(
                    f"the machines disagree: --nnodes is {_range(candidate.nodes)} on {candidate.host}, "
                    f"and {_range((self._place.min_nodes, self._place.max_nodes))} where the store is"
                )
            if (candidate.node_rank is None) != (self._place.node_rank is None):
                raise MeetingError(f"the machines disagree: {candidate.host} has another --rdzv-backend")
            if candidate.node_rank is not None:
                other = numbered.setdefault(candidate.node_rank, candidate)
                if other is not candidate:
                    raise MeetingError(
                        f"two machines have --node-rank {candidate.node_rank}: {other.host} and {candidate.host}; "
                        f"give each its own number, 0 to {self._place.max_nodes - 1}"
                    )


def verdict_of(
    records: dict[int, dict[str, Any]], losses: dict[int, str], is_elastic: bool = False
) -> dict[str, Any]:
    """Return what came of an attempt, of all machines' records, by their numbers.

    What a user asked for comes first, unless machines may go and some were told to, others not; then the failures that
    are no consequence of others; then lost machines; then consequences.

    Args:
        losses: what to say of each machine that is lost.
        is_elastic: whether machines may come and go: then what fails where one is lost is a consequence of that.
    """
    failed = {number: record for number, record in records.items() if record["exit_code"]}
    stopped = {number: record for number, record in failed.items() if record["is_final"]}
    if is_elastic and (leaving := _leaving(records, stopped)):
        return _changed([f"machine {number} was told to go" for number in leaving], left=leaving)
    if stopped:
        return next(iter(stopped.values()))
    if is_elastic and losses:
        return _changed(list(losses.values()), lost=list(losses.values()))
    causes = [it for it in failed.values() if not it["is_consequence"] and not it["is_halt"]]
    if causes:
        return min(causes, key=lambda record: float(record["failed_at"]))
    if losses:
        verdict = _changed(list(losses.values()), lost=list(losses.values()))
        verdict["result"]["is_membership_change"] = False
        return verdict
    rest = sorted(failed.values(), key=lambda record: bool(record["is_halt"]))
    return rest[0] if rest else next(iter(records.values()))


def _leaving(records: Mapping[int, dict[str, Any]], stopped: Mapping[int, dict[str, Any]]) -> list[int]:
    """The machines that were told to go, where others were not: these have only saved with them, if anything."""
    leaving = [number for number, record in stopped.items() if record["stopped_by"] == "SIGTERM"]
    others = [record for number, record in stopped.items() if number not in leaving]
    is_all = len(leaving) == len(records)
    return [] if is_all or any(record["exit_code"] != PREEMPTED for record in others) else leaving


def _changed(why: list[str], **more: list[Any]) -> dict[str, Any]:
    """A verdict of other machines than before."""
    result = {"exit_code": UNREACHABLE, "first_failure": None, **more, "is_membership_change": True}
    text = "".join(f"distrt-launch: {each}\n" for each in why)
    return {"text": text, "exit_code": UNREACHABLE, "is_final": False, "result": result}


def _range(nodes: tuple[int, int]) -> str:
    return str(nodes[0]) if nodes[0] == nodes[1] else f"{nodes[0]}:{nodes[1]}"
