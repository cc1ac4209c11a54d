"""How the launchers of several machines meet, attempt by attempt, and end or restart together.

One of them serves the control store at the address that all know; who comes must hold the job's secret. For each
attempt it serves another store, for the ranks, at a port and with a secret that the control store tells. Keys:

    run_id, job, attempt, tickets     the job's name, what its user calls it, the present attempt, how many have come
    <attempt>/here/<ticket>           a machine that wants to take part
    <attempt>/plan                    who does, and where the ranks meet; or why nobody does
    <attempt>/done/<ticket>           what came of it on one machine
    <attempt>/told/<ticket>           the signal that a machine got while it waited for the others' ends
    <attempt>/verdict                 what came of it, and whether there is another attempt
"""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from distrt.comm.stores.client import Store, StoreServer
from distrt.core.errors import RendezvousError
from launch.exit_codes import UNREACHABLE
from launch.job import World
from launch.machines.control import GRACE_S, Control
from launch.machines.correspondent import Correspondent, Member
from launch.machines.gathering import Candidate, Roll, verdict_of
from launch.machines.meeting_place import MeetingError, MeetingPlace, StoreLostError
from launch.machines.records import record_of, report_of, stopped_report
from launch.ranks.processes import Ending
from launch.ranks.supervisor import Watch
from launch.summary import Report

__all__ = ["SeveralMachines"]

_ASK_S = 0.02
_SILENT_S = 3.0  # how long nothing is said of waiting
_LONGEST_END_S = (
    60.0  # how long others may take to end their ranks when ours have failed: some are stopped by hand
)


class SeveralMachines:
    """This machine's part in the meeting; see `launch.attempts.Meeting`.

    Args:
        wait_for_signal: waits so many seconds for a signal to the launcher.
        say: tells the user something.
        says_verdict: whether what came of the job is said here, too.
    """

    def __init__(
        self,
        place: MeetingPlace,
        local_size: int,
        wait_for_signal: Callable[[float], signal.Signals | None],
        say: Callable[[str], None],
        says_verdict: bool = True,
    ) -> None:
        self._place = place
        self._local_size = local_size
        self._wait_for_signal = wait_for_signal
        self._say = say
        self._says_verdict = says_verdict
        self._name = place.local_addr or socket.gethostname()
        self._control = Control(place, self._go_on)
        self._ranks_store: StoreServer | None = None
        self._correspondent: Correspondent | None = None
        self._attempt = 0
        self._run_id = ""
        self._told: signal.Signals | None = None
        self._members: list[Member] = []
        self._seats: dict[int, int] = {}
        self._successors: list[tuple[int, str, int]] = []  # ticket and address, by number
        self._server_ticket = -1
        self._standby: StoreServer | None = None
        self.watches: Sequence[Watch] = ()

    def agree(self, run_id: str) -> tuple[str, str]:
        """Serve the control store or find it, draw a ticket, and learn the job's name.

        Raises:
            MeetingError: the store cannot be served or found, or is another job's, or the secret is missing or another.
        """
        self._run_id = run_id = self._control.enter(run_id)
        if self._place.is_elastic and not self._control.is_served_here:
            self._standby = self._control.make_standby()
        number = self._place.node_rank if self._place.node_rank is not None else self._control.ticket
        return run_id, run_id if self._control.is_served_here else f"{run_id}-node{number}"

    def open(self, attempt: int) -> World:
        """Wait until enough machines are there for an attempt in which this one takes part.

        Raises:
            MeetingError: they do not come, or contradict one another.
        """
        while True:
            try:
                return self._open(attempt)
            except (StoreLostError, RendezvousError) as error:
                if not self._is_bereft(error):
                    raise
                self._say(self._go_on_without(error))

    def _open(self, attempt: int) -> World:
        store = self._control.store
        if self._control.is_served_here:
            self._attempt = max(attempt, self._attempt)  # a machine that has waited so far counts on
            store.set("attempt", str(self._attempt))
            self._announce(store)
            plan = self._make_plan(store)
        else:
            self._attempt = max(attempt, int(self._control.hear("attempt", self._place.join_timeout_s)))
            plan = self._hear_plan()
        if "error" in plan:
            raise MeetingError(str(plan["error"]), UNREACHABLE)
        tickets: list[int] = plan["tickets"]
        group_rank = tickets.index(self._control.ticket)
        sizes: list[int] = plan["sizes"]
        hosts: list[str] = plan["hosts"]
        if self._control.is_served_here:
            self._members = [Member(ticket, rank, hosts[rank]) for rank, ticket in enumerate(tickets)]
        self._remember(plan)
        self._begin_to_correspond()
        return World(
            attempt=self._attempt,
            first_rank=sum(sizes[:group_rank]),
            size=sum(sizes),
            group_rank=group_rank,
            group_size=len(tickets),
            store_host=plan["host"],
            store_port=plan["port"],
            secret=plan["secret"],
        )

    def _remember(self, plan: dict[str, Any]) -> None:
        """Note who has which number, and who would serve the store in whose place."""
        standbys = zip(plan["tickets"], plan["standbys"], strict=True)
        self._successors = [(ticket, *at) for ticket, at in standbys if at]
        self._seats = {ticket: number for number, ticket in enumerate(plan["tickets"])}
        self._server_ticket = int(plan["server"])

    def rank_ended(self, rank: int, ending: Ending) -> None:
        """Tell the ranks that wait for this one, wherever they are; a failure ends the attempt everywhere."""
        if self._ranks_store is not None:
            self._ranks_store.rank_ended(rank, str(ending))
        if self._correspondent is not None:
            is_failure = ending.is_failure and not ending.is_preemption  # who agreed to go goes by itself
            self._correspondent.tell_of_end(rank, str(ending), is_failure)

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that came to the store, where this machine serves it."""
        return frozenset() if self._ranks_store is None else self._ranks_store.joined_ranks()

    def judge(self, report: Report, has_restarts: bool) -> tuple[Report, bool]:
        """Hand in this machine's report, and take the job's, when all machines have ended.

        A signal meanwhile ends the ranks of the others; a second one gives up waiting.
        """
        store = self._control.store
        try:
            self._require_others()
            store.set(f"{self._attempt}/done/{self._control.ticket}", json.dumps(record_of(report)))
            if self._control.is_served_here:
                self._give_verdict(store, has_restarts)
            verdict = json.loads(self._control.hear(f"{self._attempt}/verdict", None))
        except (MeetingError, RendezvousError) as error:
            if self._is_bereft(error) and not (report.is_final and report.exit_code):
                text = f"distrt-launch: {self._go_on_without(error)}\n"
                return Report(
                    text, UNREACHABLE, {"exit_code": UNREACHABLE, "is_membership_change": True}
                ), True
            if report.exit_code and not report.result.get("halt"):
                return report, False
            exit_code = error.exit_code if isinstance(error, MeetingError) else UNREACHABLE
            lost = f"distrt-launch: the machine at {self._place.address} is lost: {error}\n"
            text = report.text or (f"distrt-launch: {error}\n" if exit_code > 128 else lost)
            return Report(text, exit_code, {**report.result, "exit_code": exit_code}), False
        if self._seats.get(self._control.ticket) in verdict["result"].get("left", ()):
            return (report if report.exit_code else stopped_report(self._told)), False
        text = str(verdict["text"]) if self._says_verdict else ""
        return replace(report_of(verdict), text=text), bool(verdict["goes_on"])

    def close(self) -> None:
        """End the attempt's store and the thread behind the watch."""
        self._stop_corresponding()
        if self._ranks_store is not None:
            self._ranks_store.close()
            self._ranks_store = None

    def leave(self) -> None:
        """Part; the machine that serves the store goes when the others have heard the verdict."""
        self._control.leave()
        if self._standby is not None:
            self._standby.close()
            self._standby = None

    def _announce(self, store: Store) -> None:
        place = self._place
        nodes = (place.min_nodes, place.max_nodes)
        standby = (self._standby.host, self._standby.port) if self._standby is not None else None
        own = Candidate(self._control.ticket, place.node_rank, self._local_size, self._name, nodes, standby)
        store.set(f"{self._attempt}/here/{self._control.ticket}", json.dumps(asdict(own)))

    def _make_plan(self, store: Store) -> dict[str, Any]:
        lost = {member.ticket for member in self._members if member.loss}
        seats = {ticket: number for ticket, number in self._seats.items() if ticket not in lost}
        roll = Roll(self._place, lambda: self._candidates(store), self._control.ticket, seats)
        try:
            found = self._wait_for(roll)
            secret = os.urandom(32)
            self._ranks_store = StoreServer(self._control.own_address, 0, secret=secret)
        except MeetingError as error:
            store.set(f"{self._attempt}/plan", json.dumps({"error": str(error)}))
            raise
        plan = {
            "tickets": [it.ticket for it in found],
            "sizes": [it.local_size for it in found],
            "hosts": [it.host for it in found],
            "standbys": [it.standby for it in found],
            "server": self._control.ticket,
            "host": self._control.own_address,
            "port": self._ranks_store.port,
            "secret": secret.hex(),
        }
        store.set(f"{self._attempt}/plan", json.dumps(plan))
        return plan

    def _wait_for(self, roll: Roll) -> list[Candidate]:
        speaks_at = time.monotonic() + _SILENT_S
        while (found := roll.call()) is None:
            self._stop_if_told(_ASK_S)
            if time.monotonic() > speaks_at:
                speaks_at = float("inf")
                self._say(f"waiting for other machines at {self._place.address}")
        return found

    def _candidates(self, store: Store) -> list[Candidate]:
        found = []
        for ticket in sorted(self._control.connected_tickets()):
            key = f"{self._attempt}/here/{ticket}"
            if store.check([key]):
                fields = json.loads(store.get(key))
                found.append(Candidate(**{**fields, "nodes": tuple(fields["nodes"])}))
        return found

    def _hear_plan(self) -> dict[str, Any]:
        """Hear of an attempt in which this machine takes part: who comes too late waits for the next one."""
        while True:
            self._announce(self._control.store)
            plan: dict[str, Any] = json.loads(
                self._control.hear(f"{self._attempt}/plan", self._place.join_timeout_s + GRACE_S)
            )
            if "error" in plan or self._control.ticket in plan["tickets"]:
                return plan
            self._remember(plan)
            self._attempt += 1
            self._announce(self._control.store)
            machines = "1 machine" if len(plan["tickets"]) == 1 else f"{len(plan['tickets'])} machines"
            self._say(f"the job is under way on {machines}: this one waits for the next start")
            self._require_another_attempt()

    def _require_another_attempt(self) -> None:
        """Wait for the end of the attempt that this machine has no part in: a spare one goes when the job is over."""
        verdict = json.loads(self._control.hear(f"{self._attempt - 1}/verdict", None))
        if not verdict["goes_on"]:
            exit_code = int(verdict["exit_code"]) if self._place.is_elastic else UNREACHABLE
            raise MeetingError("the job has ended, and has not needed this machine", exit_code)

    def _go_on(self) -> None:
        """What is looked at between two moments of waiting for the control store."""
        self._stop_if_told()
        self._require_others()

    def _stop_corresponding(self) -> None:
        if self._correspondent is not None:
            self._correspondent.close()
            self._correspondent, self.watches = None, ()

    def _require_others(self) -> None:
        if self._correspondent is not None and (loss := self._correspondent.loss):
            raise StoreLostError(loss)

    def _begin_to_correspond(self) -> None:
        ranks_store = self._ranks_store
        self._correspondent = Correspondent(
            self._control.connect(None),
            self._control.server,
            self._attempt,
            self._control.ticket,
            self._members,
            self._place.silence_s,
            (lambda rank, how: None) if ranks_store is None else ranks_store.rank_ended,
            self._place.max_nodes - len(self._members) if self._place.is_elastic else 0,
        )
        self.watches = (self._correspondent,)

    def _give_verdict(self, store: Store, has_restarts: bool) -> None:
        """Wait for the records of all machines that are not lost, and tell them what came of the attempt."""
        deadline = float("inf")
        records: dict[int, dict[str, Any]] = {}
        while waiting := [it for it in self._members if it.group_rank not in records and not it.loss]:
            for member in waiting:
                key = f"{self._attempt}/done/{member.ticket}"
                if store.check([key]):
                    records[member.group_rank] = json.loads(store.get(key))
                    if records[member.group_rank]["exit_code"]:
                        deadline = min(deadline, time.monotonic() + _LONGEST_END_S)
                elif time.monotonic() > deadline:
                    member.loss = f"it does not say within {_LONGEST_END_S:.0f} s how its ranks have ended"
            self._stop_if_told(0.01)
        self._note_signals(store, records)
        losses = {
            it.group_rank: f"{it.name} is lost: {it.loss}"
            for it in self._members
            if it.group_rank not in records
        }
        verdict = verdict_of(records, losses, self._place.is_elastic)
        for member in self._members:
            if member.group_rank in verdict["result"].get("left", ()):
                member.loss = "it was told to go"
        may_go_on = has_restarts or verdict["result"].get("is_membership_change", False)
        goes_on = may_go_on and not verdict["is_final"] and bool(verdict["exit_code"])
        store.set(f"{self._attempt}/verdict", json.dumps({**verdict, "goes_on": goes_on}))

    def _note_signals(self, store: Store, records: Mapping[int, dict[str, Any]]) -> None:
        """What a user has asked for on a machine counts also where its ranks had ended, unless all was well."""
        if not any(record["exit_code"] for record in records.values()):
            return
        for member in self._members:
            key = f"{self._attempt}/told/{member.ticket}"
            record = records.get(member.group_rank)
            if record is not None and not record["stopped_by"] and store.check([key]):
                record.update(record_of(stopped_report(signal.Signals[store.get(key).decode()])))

    def _is_bereft(self, error: Exception) -> bool:
        """Whether the job can go on without the machine that served the store, which is lost."""
        is_lost = isinstance(error, StoreLostError | RendezvousError)
        return is_lost and self._place.is_elastic and bool(self._seats) and not self._control.is_served_here

    def _go_on_without(self, error: Exception) -> str:
        """Have the first of the machines that are left serve the store from now on, or find it there; say so.

        Raises:
            MeetingError: none of them can be reached, nor any that has waited for a place.
        """
        gone = self._control.address
        self._stop_corresponding()
        self._seats.pop(self._server_ticket, None)
        for ticket, host, port in self._successors:
            self._server_ticket = ticket
            if ticket == self._control.ticket:
                assert self._standby is not None, "it was announced"
                self._control.take_over(self._standby, self._run_id, max(self._seats))
                self._standby = None
                break
            if self._control.follow(host, port):
                break
            self._seats.pop(ticket, None)  # it may be gone since the last plan
        else:
            self._meet_again_without_all(error)
        return f"the machine at {gone} is lost: {error}; {self._control.address} serves the store from now on"

    def _meet_again_without_all(self, error: Exception) -> None:
        """Go on with the other machines that have waited for a place, when all that had one are lost.

        Raises:
            MeetingError: there is nowhere to meet them.
        """
        assert self._standby is not None, "it was made before the job had a plan"
        self._say(
            f"all machines of the job are lost ({error}): looking for others that have waited, or come back"
        )
        last_ticket = max((self._control.ticket, *self._seats))
        self._seats = {}
        if not self._control.meet_again(self._standby, self._run_id, last_ticket):
            raise MeetingError(f"all machines of the job are lost, and no other serves the store ({error})")
        if self._control.is_served_here:
            if self._control.server is not self._standby:
                self._standby.close()
            self._standby = None

    def _stop_if_told(self, patience_s: float = 0.0) -> None:
        """Wait for a signal: while ranks of others run, the first one ends them, and the next the waiting."""
        number = self._wait_for_signal(patience_s)
        if number is None:
            return
        if self._correspondent is not None and self._told is None:
            self._told = number
            self._control.store.set(f"{self._attempt}/told/{self._control.ticket}", number.name)
            self._correspondent.tell_all_to_end(f"stopped by {number.name}", 128 + number)
            return
        raise MeetingError(f"stopped by {number.name}", 128 + number)
