"""`Channel`: a communicator of NCCL's, made when it is first used, and the stream that its operations are queued on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from distrt.comm.nccl import library
from distrt.core.errors import CollectiveTimeout, PeerFailed
from distrt.core.gpu import library as gpus

__all__ = ["Channel"]

_DESTROYED_WITHIN_S = 5.0
_LOOK_EVERY_S = 0.05


class Channel:
    """Some ranks, the GPU that this one drives, and a stream of its own.

    Args:
        rank, size: this rank's number among them, and how many they are.
        peers: the others, by their numbers in the group.
        device: the number of the GPU.
        meet: how the ranks agree on NCCL's id: gives rank 0's argument (128 bytes; None on others) to all of them.
        high_priority: whether the stream goes before others.
        timeout_s: how long to wait for the others.
        gone: what became of one of them that will not come, if there is such a one.

    Raises:
        CollectiveTimeout, PeerFailed: in `open`; NCCL itself would wait for ever.
    """

    def __init__(
        self,
        rank: int,
        size: int,
        peers: list[int],
        device: int,
        meet: Callable[[bytes | None], bytes],
        high_priority: bool,
        timeout_s: float,
        gone: Callable[[list[int]], str | None],
    ) -> None:
        self.rank, self.size, self.peers, self.device = rank, size, peers, device
        self._meet, self._high_priority = meet, high_priority
        self._timeout_s, self._gone = timeout_s, gone
        self._lock = threading.Lock()  # between the thread that ends it and the one that asks about errors
        self._made: Any = None
        self._is_over = False
        self.stream: Any = None

    @property
    def is_open(self) -> bool:
        """Whether it has been used, and not been ended."""
        return self._made is not None and not self._is_over

    def open(self) -> None:
        """Connect, where that has not been done: all of its ranks come."""
        if self._made is not None:
            return
        nccl = library.require()
        unique = self._meet(nccl.get_unique_id() if self.rank == 0 else None)
        self.stream = self._new_stream()
        made = self._patiently(lambda: nccl.NcclCommunicator(self.size, unique, self.rank))
        with self._lock:
            self._made = made
            if self._is_over:
                made.abort()

    def _new_stream(self) -> Any:
        cuda = gpus.find().cuda
        with cuda.Device(self.device):
            return cuda.Stream(non_blocking=True, priority=-1 if self._high_priority else 0)

    def _patiently(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives, in a thread, so that this one can give up."""
        found: list[Any] = []

        def run() -> None:
            try:
                with gpus.find().cuda.Device(self.device):
                    found.append(make())
            except Exception as error:
                found.append(error)

        thread = threading.Thread(target=run, name="distrt nccl connect", daemon=True)
        thread.start()
        began = time.monotonic()
        while thread.is_alive():
            thread.join(_LOOK_EVERY_S)
            waited_s = time.monotonic() - began
            lost = self._gone(self.peers) if waited_s > 1 else None  # who has connected may have left
            if thread.is_alive() and lost is not None:
                raise PeerFailed(f"connecting by NCCL: {lost}")
            if thread.is_alive() and waited_s > self._timeout_s:
                raise CollectiveTimeout(
                    f"connecting by NCCL: waited {self._timeout_s:g} s for the other ranks"
                )
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    @property
    def communicator(self) -> Any:
        """NCCL's own object."""
        return self._made

    def error(self) -> Exception | None:
        """What NCCL has found to be wrong since it was last asked."""
        with self._lock:
            if not self.is_open:
                return None
            try:
                self._made.check_async_error()
            except RuntimeError as error:  # NcclError
                return error
        return None

    def abort(self) -> None:
        """End it at once; what is queued ends undone. From any thread, and any number of times."""
        with self._lock:
            if self.is_open:
                self._made.abort()
            self._is_over = True

    def close(self) -> None:
        """End it when nothing is queued. NCCL may wait for other ranks there; this rank does so for seconds at most."""
        with self._lock:
            is_open, self._is_over = self.is_open, True
        if not is_open:
            return
        ending = threading.Thread(target=self._destroy, name="distrt nccl destroy", daemon=True)
        ending.start()
        ending.join(_DESTROYED_WITHIN_S)

    def _destroy(self) -> None:
        with gpus.find().cuda.Device(self.device):
            self._made.destroy()
