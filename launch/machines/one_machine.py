"""How the ranks of a job on one machine meet: the launcher serves a new store for every attempt."""

import os
from collections.abc import Sequence

from distrt.comm.stores.client import StoreServer
from launch.job import World
from launch.machines.addresses import refusal
from launch.machines.meeting_place import MeetingError, MeetingPlace
from launch.ranks.processes import Ending
from launch.ranks.supervisor import Watch
from launch.summary import Report

__all__ = ["OneMachine"]


class OneMachine:
    """A meeting of nobody else; see `launch.attempts.Meeting`."""

    def __init__(self, place: MeetingPlace, local_size: int) -> None:
        self._place = place
        self._local_size = local_size
        self._server: StoreServer | None = None
        self.watches: Sequence[Watch] = ()

    def agree(self, run_id: str) -> tuple[str, str]:
        """Return the job's name, which is the launcher's own, and the run directory's."""
        return run_id, run_id

    def open(self, attempt: int) -> World:
        """Serve a store with a secret of its own, so that no rank of another attempt can come in.

        Raises:
            MeetingError: the address is taken, or is not this machine's.
        """
        secret, place = os.urandom(32), self._place
        try:
            self._server = StoreServer(place.host, place.port, secret=secret)
        except OSError as error:
            raise MeetingError(
                f"the store cannot listen on {place.host}:{place.port}: {refusal(error, place.port)}; "
                f"choose another --master-port, or 0 for any free one"
            ) from error
        return World(
            attempt, 0, self._local_size, 0, 1, self._server.host, self._server.port, secret=secret.hex()
        )

    def rank_ended(self, rank: int, ending: Ending) -> None:
        """Tell those who wait for ``rank``."""
        if self._server is not None:
            self._server.rank_ended(rank, str(ending))

    def joined_ranks(self) -> frozenset[int]:
        """Return the ranks that came to the store."""
        return frozenset() if self._server is None else self._server.joined_ranks()

    def judge(self, report: Report, has_restarts: bool) -> tuple[Report, bool]:
        """Return what is to be said of the attempt, and whether there is another."""
        return report, has_restarts and not report.is_final

    def close(self) -> None:
        """End the attempt's store."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def leave(self) -> None:
        """Nobody waits for us."""
