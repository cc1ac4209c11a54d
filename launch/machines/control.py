"""The control store, at which the launchers of several machines meet: finding it, or serving it, and hearing from it.

It lives as long as the job. `launch.machines.several_machines` says what is written into it.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace

from distrt.comm.environment import job_secret
from distrt.comm.stores.client import Store, StoreServer
from distrt.core.errors import AuthenticationError, DistStoreError, RendezvousError
from launch.exit_codes import REFUSED
from launch.machines.addresses import is_loopback, is_own, own_address_towards, refusal, resolve
from launch.machines.meeting_place import MeetingError, MeetingPlace, StoreLostError

__all__ = ["GRACE_S", "Control"]

#: How much longer than the machine that serves the others wait for what it decides.
GRACE_S = 10.0
_SLICE_S = 2.0  # one attempt to connect; between two, signals are looked at
_TURN_S = 2.0  # how long the next address waits for the one before: longer than a look
_LOOK_S = 1.0  # for a store at an address where there need be none
_ASK_S = 0.1
_LEAVE_S = 5.0
_TICKETS = 10_000  # more than machines that are there already have drawn, spare ones included
_NO_SECRET = (
    "machines that meet at {address} need a secret to know one another by: on every machine, "
    "set DISTRT_JOB_SECRET to the same hex digits (export DISTRT_JOB_SECRET=$(openssl rand -hex 16))"
)


class Control:
    """This machine's connection to the control store, and the store itself where this machine serves it.

    Args:
        go_on: called again and again while something is waited for; it raises where the wait is to be given up.

    Attributes:
        own_address: where this machine serves stores, if it does.
        ticket: this machine's number, in the order of coming.
        server: the store, where it is this machine's.
    """

    def __init__(self, place: MeetingPlace, go_on: Callable[[], None]) -> None:
        self.own_address = place.local_addr or place.host
        self.ticket = -1
        self.server: StoreServer | None = None
        self._place = place
        self._named = ((place.host, place.port), *place.others)
        self._go_on = go_on
        self._secret = job_secret()
        self._store: Store | None = None

    @property
    def is_served_here(self) -> bool:
        """Whether the store is this machine's, which then decides for all."""
        return self.server is not None

    @property
    def address(self) -> str:
        """Where the store is served."""
        return self._place.address

    @property
    def store(self) -> Store:
        """This machine's connection, under its ticket."""
        assert self._store is not None, "enter comes first"
        return self._store

    def enter(self, run_id: str) -> str:
        """Serve the store or find it, draw a ticket, and return the job's name (``run_id`` where it is served here).

        Raises:
            MeetingError: the store cannot be served or found, or is another job's, or the secret is missing or another.
        """
        if not self._find_elsewhere():
            self._serve_if_ours()
        with self.connect(None) as first:
            if self.server is not None:
                first.set("run_id", run_id)
                first.set("job", self._place.job_name)
            job = first.get("job", GRACE_S).decode()
            if job != self._place.job_name:
                raise MeetingError(
                    f"the store at {self._place.address} is job {job!r}'s, and this is {self._place.job_name!r}; "
                    f"give both the same --rdzv-id, or another address"
                )
            run_id = first.get("run_id", GRACE_S).decode()
            self.ticket = first.add("tickets", 1) - 1
        self._store = self.connect(self.ticket)
        return run_id

    def make_standby(self) -> StoreServer:
        """Return a store of this machine's, empty, for the case that the one that serves is lost.

        It is where who comes later looks for it, if this machine is among those that the user has named.
        """
        place = self._place
        for host, port in place.others:
            if is_own(host):
                with contextlib.suppress(OSError):
                    return StoreServer(host, port, secret=self._secret)
        return StoreServer(place.local_addr or own_address_towards(place.host), 0, secret=self._secret)

    def take_over(self, standby: StoreServer, run_id: str, last_ticket: int) -> None:
        """Serve the store from now on, in place of a machine that is lost."""
        self.server, self.own_address = standby, standby.host
        self._place = replace(self._place, host=standby.host, port=standby.port)
        self._reconnect()
        self.store.set("run_id", run_id)
        self.store.set("job", self._place.job_name)
        self.store.add("tickets", last_ticket + _TICKETS)

    def follow(self, host: str, port: int) -> bool:
        """Go to another machine's store, unless that is lost, too; return whether it answers."""
        before = self._place
        self._place = replace(before, host=host, port=port, join_timeout_s=0.0)
        try:
            self._reconnect()
        except MeetingError:
            self._place = before
            return False
        self._place = replace(self._place, join_timeout_s=before.join_timeout_s)
        return True

    def meet_again(self, standby: StoreServer, run_id: str, last_ticket: int) -> bool:
        """Where all machines of the job are lost, meet those that wait as this one does, and who comes back.

        It is at the first of the addresses that the user has named which one of them can serve. Return whether there
        is one, within the time that machines have to come.
        """
        began = time.monotonic()
        while (waited_s := time.monotonic() - began) <= self._place.join_timeout_s:
            if self._find_elsewhere():
                self._reconnect()
                return True
            for turn, (host, port) in enumerate(self._named):
                if waited_s < turn * _TURN_S or not is_own(host):
                    continue
                if (server := self._serve_at(host, port, standby)) is not None:
                    self.take_over(server, run_id, last_ticket)
                    return True
            self._go_on()
            time.sleep(_ASK_S)
        return False

    def _serve_at(self, host: str, port: int, standby: StoreServer) -> StoreServer | None:
        if (host, port) == (standby.host, standby.port):
            return standby
        try:
            return StoreServer(host, port, secret=self._secret)
        except OSError:
            return None

    def _reconnect(self) -> None:
        store = self.connect(self.ticket)
        if self._store is not None:
            self._store.close()
        self._store = store

    def connect(self, ticket: int | None) -> Store:
        """Return a new connection; with a ticket, the store knows by it that the machine is there.

        Raises:
            MeetingError: there is no store in time, or it has another secret.
        """
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
            self._go_on()

    def hear(self, key: str, patience_s: float | None) -> bytes:
        """Wait for a key; without ``patience_s`` as long as the machine that serves is there.

        Raises:
            MeetingError: the time is over.
            StoreLostError: the store is gone.
        """
        deadline = float("inf") if patience_s is None else time.monotonic() + patience_s
        while True:
            try:
                return self.store.get(key, 0.2)
            except DistStoreError as error:
                if time.monotonic() > deadline:
                    raise MeetingError(
                        f"the machine at {self._place.address} decides nothing: {error}"
                    ) from error
            except RendezvousError as error:
                raise StoreLostError(
                    f"the machine that serves the store at {self._place.address} has ended ({error})"
                ) from error
            self._go_on()

    def connected_tickets(self) -> frozenset[int]:
        """Return whose launchers are connected, where the store is served here."""
        assert self.server is not None, "only who serves sees who is connected"
        return self.server.connected_ranks()

    def leave(self) -> None:
        """Part; the machine that serves the store goes when the others have heard the verdict."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self.server is not None:
            deadline = time.monotonic() + _LEAVE_S
            while self.server.connected_ranks() and time.monotonic() < deadline:
                time.sleep(0.01)
            self.server.close()
            self.server = None

    def _find_elsewhere(self) -> bool:
        """Go where the store is served by now, if its first machine was lost; return whether it is."""
        place = self._place
        for host, port in self._named if self._store is not None else place.others:
            with contextlib.suppress(RendezvousError, OSError):
                store = Store(host, port, secret=self._secret, timeout_s=_LOOK_S, host_name="another machine")
                with store:
                    if store.check(["run_id"]):  # a store that nobody has taken over is empty
                        self._place = replace(place, host=host, port=port)
                        return True
        return False

    def _serve_if_ours(self) -> None:
        """Serve the store if the address is this machine's, and nobody serves there already."""
        place, host = self._place, self.own_address
        if place.is_host is False or (place.is_host is None and not is_own(place.host)):
            return
        if not is_loopback(place.host) and is_loopback(resolve(host)):
            raise MeetingError(
                f"{host} is a loopback address on this machine, where the others cannot come; "
                f"give --local-addr, with the address that they know"
            )
        try:
            self.server = StoreServer(host, place.port, secret=self._secret)
        except RendezvousError as error:
            raise MeetingError(_NO_SECRET.format(address=place.address), REFUSED) from error
        except OSError as error:
            if place.is_host is None:
                return  # another launcher on this machine was first
            raise MeetingError(
                f"the store cannot listen on {host}:{place.port}: {refusal(error, place.port)}; "
                f"is {place.host} this machine's address, and the port free?"
            ) from error
