"""How the launchers of several machines meet, attempt by attempt, and end or restart together.

One of them serves the control store at the address that all know; who comes must hold the job's secret. For each
attempt it serves another store, for the ranks, at a port and with a secret that the control store tells. Keys:

    run_id, job, attempt, tickets     the job's name, what its user calls it, the present attempt, how many have come
    <attempt>/here/<ticket>           a machine that wants to take part
    <attempt>/plan                    who does, and where the ranks meet; or why nobody does
    <attempt>/done/<ticket>           what came of it on one machine
    <attempt>/verdict                 what came of it, and whether there is another attempt
"""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from distrt.comm.environment import job_secret
from distrt.comm.stores.client import Store, StoreServer
from distrt.core.errors import AuthenticationError, DistStoreError, RendezvousError
from launch.addresses import is_loopback, is_own, resolve
from launch.correspondent import Correspondent, Member
from launch.exit_codes import REFUSED, UNREACHABLE
from launch.gathering import Candidate, Roll, verdict_of
from launch.job import World
from launch.meeting_place import MeetingError, MeetingPlace
from launch.processes import Ending
from launch.summary import Report
from launch.supervisor import Watch

__all__ = ["SeveralMachines"]

_SLICE_S = 2.0  # one attempt to connect; between two, signals are looked at
_ASK_S = 0.02
_SILENT_S = 3.0  # how long nothing is said of waiting
_GRACE_S = 10.0  # how much longer than the machine that serves the others wait for what it decides
_LEAVE_S = 5.0
_LONGEST_END_S = (
    60.0  # how long others may take to end their ranks when ours have failed: some are stopped by hand
)


class SeveralMachines:
    """This machine's part in the meeting; see `launch.attempts.Meeting`.

    Args:
        wait_for_signal: waits so many seconds for a signal to the launcher.
        say: tells the user something.
    """

    def __init__(
        self,
        place: MeetingPlace,
        local_size: int,
        wait_for_signal: Callable[[float], signal.Signals | None],
        say: Callable[[str], None],
    ) -> None:
        self._place = place
        self._local_size = local_size
        self._wait_for_signal = wait_for_signal
        self._say = say
        self._own_address = place.local_addr or place.host  # of the store, if this machine serves it
        self._secret = job_secret()
        self._name = place.local_addr or socket.gethostname()
        self._control: StoreServer | None = None
        self._store: Store | None = None
        self._ranks_store: StoreServer | None = None
        self._correspondent: Correspondent | None = None
        self._ticket = -1
        self._attempt = 0
        self._has_told_to_end = False
        self._members: list[Member] = []
        self.watches: Sequence[Watch] = ()

    def agree(self, run_id: str) -> tuple[str, str]:
        """Serve the control store or find it, draw a ticket, and learn the job's name.

        Raises:
            MeetingError: the store cannot be served or found, or is another job's, or the secret is missing or another.
        """
        self._serve_if_ours()
        with self._connect(None) as first:
            if self._control is not None:
                first.set("run_id", run_id)
                first.set("job", self._place.job_name)
            job = first.get("job", _GRACE_S).decode()
            if job != self._place.job_name:
                raise MeetingError(
                    f"the store at {self._place.address} is job {job!r}'s, and this is {self._place.job_name!r}; "
                    f"give both the same --rdzv-id, or another address"
                )
            run_id = first.get("run_id", _GRACE_S).decode()
            self._ticket = first.add("tickets", 1) - 1
        self._store = self._connect(self._ticket)
        number = self._place.node_rank if self._place.node_rank is not None else self._ticket
        return run_id, run_id if self._control is not None else f"{run_id}-node{number}"

    def open(self, attempt: int) -> World:
        """Wait until enough machines are there for an attempt in which this one takes part.

        Raises:
            MeetingError: they do not come, or contradict one another.
        """
        store = self._require_store()
        if self._control is not None:
            self._attempt = attempt
            store.set("attempt", str(attempt))
            self._announce(store)
            plan = self._make_plan(store)
        else:
            self._attempt = max(attempt, int(self._hear(store, "attempt", self._place.join_timeout_s)))
            plan = self._hear_plan(store)
        if "error" in plan:
            raise MeetingError(str(plan["error"]), UNREACHABLE)
        tickets: list[int] = plan["tickets"]
        group_rank = tickets.index(self._ticket)
        sizes: list[int] = plan["sizes"]
        hosts: list[str] = plan["hosts"]
        if self._control is not None:
            self._members = [Member(ticket, rank, hosts[rank]) for rank, ticket in enumerate(tickets)]
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

    def rank_ended(self, rank: int, ending: Ending) -> None:
        """Tell the ranks that wait for this one, wherever they are; a failure ends the attempt everywhere."""
        if self._ranks_store is not None:
            self._ranks_store.rank_ended(rank, str(ending))
        if self._correspondent is not None:
            self._correspondent.tell_of_end(rank, str(ending), ending.is_failure)

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that came to the store, where this machine serves it."""
        return frozenset() if self._ranks_store is None else self._ranks_store.joined_ranks()

    def judge(self, report: Report, has_restarts: bool) -> tuple[Report, bool]:
        """Hand in this machine's report, and take the job's, when all machines have ended.

        A signal meanwhile ends the ranks of the others; a second one gives up waiting.
        """
        store = self._require_store()
        try:
            self._require_others()
            store.set(f"{self._attempt}/done/{self._ticket}", json.dumps(_record(report)))
            if self._control is not None:
                self._give_verdict(store, has_restarts)
            verdict = json.loads(self._hear(store, f"{self._attempt}/verdict", None))
        except (MeetingError, RendezvousError) as error:
            if report.exit_code and not report.result.get("halt"):
                return report, False
            exit_code = error.exit_code if isinstance(error, MeetingError) else UNREACHABLE
            lost = f"distrt-launch: the machine at {self._place.address} is lost: {error}\n"
            text = report.text or (f"distrt-launch: {error}\n" if exit_code > 128 else lost)
            return Report(text, exit_code, {**report.result, "exit_code": exit_code}), False
        return _report(verdict), bool(verdict["goes_on"])

    def close(self) -> None:
        """End the attempt's store and the thread behind the watch."""
        if self._correspondent is not None:
            self._correspondent.close()
            self._correspondent, self.watches = None, ()
        if self._ranks_store is not None:
            self._ranks_store.close()
            self._ranks_store = None

    def leave(self) -> None:
        """Part; the machine that serves the store goes when the others have heard the verdict."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._control is not None:
            deadline = time.monotonic() + _LEAVE_S
            while self._control.connected_ranks() and time.monotonic() < deadline:
                time.sleep(0.01)
            self._control.close()
            self._control = None

    def _serve_if_ours(self) -> None:
        """Serve the control store if the address is this machine's, and nobody serves there already."""
        place = self._place
        if place.is_host is False or (place.is_host is None and not is_own(place.host)):
            return
        host = self._own_address
        if not is_loopback(place.host) and is_loopback(resolve(host)):
            raise MeetingError(
                f"{host} is a loopback address on this machine, where the others cannot come; "
                f"give --local-addr, with the address that they know"
            )
        try:
            self._control = StoreServer(host, place.port, secret=self._secret)
        except RendezvousError as error:
            raise MeetingError(_NO_SECRET.format(address=place.address), REFUSED) from error
        except OSError as error:
            if place.is_host is None:
                return  # another launcher on this machine was first
            raise MeetingError(
                f"the store cannot listen on {host}:{place.port}: {error.strerror or error}; "
                f"is {place.host} this machine's address, and the port free?"
            ) from error

    def _connect(self, ticket: int | None) -> Store:
        place, deadline = self._place, time.monotonic() + self._place.join_timeout_s
        while True:
            try:
                return Store(
                    place.host,
                    place.port,
                    rank=ticket,
                    secret=self._secret,
                    timeout_s=_SLICE_S,
                    host_name="machine 0",
                )
            except AuthenticationError as error:
                if not self._secret:
                    raise MeetingError(_NO_SECRET.format(address=place.address), REFUSED) from error
                raise MeetingError(
                    f"the store at {place.address} does not hold this machine's DISTRT_JOB_SECRET; "
                    f"set the same on every machine, and another port for another job",
                    REFUSED,
                ) from error
            except RendezvousError as error:
                if time.monotonic() > deadline:
                    raise MeetingError(
                        f"no store at {place.address} within {place.join_timeout_s:g} s ({error}); "
                        f"is machine 0 running, is the address right?"
                    ) from error
            self._stop_if_told()

    def _announce(self, store: Store) -> None:
        place = self._place
        nodes = (place.min_nodes, place.max_nodes)
        own = Candidate(self._ticket, place.node_rank, self._local_size, self._name, nodes)
        store.set(f"{self._attempt}/here/{self._ticket}", json.dumps(asdict(own)))

    def _make_plan(self, store: Store) -> dict[str, Any]:
        roll = Roll(self._place, lambda: self._candidates(store), self._ticket)
        try:
            found = self._wait_for(roll)
            secret = os.urandom(32)
            self._ranks_store = StoreServer(self._own_address, 0, secret=secret)
        except MeetingError as error:
            store.set(f"{self._attempt}/plan", json.dumps({"error": str(error)}))
            raise
        plan = {
            "tickets": [it.ticket for it in found],
            "sizes": [it.local_size for it in found],
            "hosts": [it.host for it in found],
            "host": self._own_address,
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
        assert self._control is not None, "only who serves calls the roll"
        found = []
        for ticket in sorted(self._control.connected_ranks()):
            key = f"{self._attempt}/here/{ticket}"
            if store.check([key]):
                fields = json.loads(store.get(key))
                found.append(Candidate(**{**fields, "nodes": tuple(fields["nodes"])}))
        return found

    def _hear_plan(self, store: Store) -> dict[str, Any]:
        """Hear of an attempt in which this machine takes part: who comes too late waits for the next one."""
        while True:
            self._announce(store)
            plan: dict[str, Any] = json.loads(
                self._hear(store, f"{self._attempt}/plan", self._place.join_timeout_s + _GRACE_S)
            )
            if "error" in plan or self._ticket in plan["tickets"]:
                return plan
            self._attempt += 1

    def _hear(self, store: Store, key: str, patience_s: float | None) -> bytes:
        """Wait for a key, and for signals; without ``patience_s`` as long as the machine that serves is there."""
        deadline = float("inf") if patience_s is None else time.monotonic() + patience_s
        while True:
            try:
                return store.get(key, 0.2)
            except DistStoreError as error:
                if time.monotonic() > deadline:
                    raise MeetingError(
                        f"the machine at {self._place.address} decides nothing: {error}"
                    ) from error
            except RendezvousError as error:
                raise MeetingError(
                    f"the machine that serves the store at {self._place.address} has ended ({error})"
                ) from error
            self._stop_if_told()
            self._require_others()

    def _require_others(self) -> None:
        if self._correspondent is not None and (loss := self._correspondent.loss):
            raise MeetingError(loss)

    def _begin_to_correspond(self) -> None:
        ranks_store = self._ranks_store
        self._correspondent = Correspondent(
            self._connect(None),
            self._control,
            self._attempt,
            self._ticket,
            self._members,
            self._place.silence_s,
            (lambda rank, how: None) if ranks_store is None else ranks_store.rank_ended,
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
        losses = {
            it.group_rank: f"{it.name} is lost: {it.loss}"
            for it in self._members
            if it.group_rank not in records
        }
        verdict = verdict_of(records, losses)
        goes_on = has_restarts and not verdict["is_final"] and bool(verdict["exit_code"])
        store.set(f"{self._attempt}/verdict", json.dumps({**verdict, "goes_on": goes_on}))

    def _stop_if_told(self, patience_s: float = 0.0) -> None:
        """Wait for a signal: while ranks of others run, the first one ends them, and the next the waiting."""
        number = self._wait_for_signal(patience_s)
        if number is None:
            return
        if self._correspondent is not None and not self._has_told_to_end:
            self._has_told_to_end = True
            self._correspondent.tell_all_to_end(f"stopped by {number.name}", 128 + number)
            return
        raise MeetingError(f"stopped by {number.name}", 128 + number)

    def _require_store(self) -> Store:
        assert self._store is not None, "agree comes first"
        return self._store


_NO_SECRET = (
    "machines that meet at {address} need a secret to know one another by: on every machine, "
    "set DISTRT_JOB_SECRET to the same hex digits (export DISTRT_JOB_SECRET=$(openssl rand -hex 16))"
)


def _record(report: Report) -> dict[str, Any]:
    first = report.result.get("first_failure") or {}
    return {
        "text": report.text,
        "exit_code": report.exit_code,
        "result": report.result,
        "is_final": report.is_final,
        "is_consequence": report.is_consequence,
        "is_halt": bool(report.result.get("halt")),
        "failed_at": first.get("time", time.time()),
    }


def _report(verdict: dict[str, Any]) -> Report:
    return Report(
        str(verdict["text"]), int(verdict["exit_code"]), verdict["result"], is_final=bool(verdict["is_final"])
    )
