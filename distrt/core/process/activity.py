"""What this process does, told as it does it: by loaders, passes, optimizers, checkpoints, and the calls of groups.

Who records a run (`distrt.comm.ledger`) or profiles one (`distrt.profiler`) listens. While nobody does, telling costs a
look at an empty tuple. Standard library only.
"""

from __future__ import annotations

import os
import time
from types import TracebackType

__all__ = [
    "BACKWARD",
    "CHECKPOINT",
    "DATA",
    "FORWARD",
    "KINDS",
    "OPTIMIZER",
    "WAITING",
    "Listener",
    "Transfer",
    "doing",
    "ended",
    "launched",
    "leave",
    "listen",
    "noted",
]

DATA, FORWARD, BACKWARD, OPTIMIZER = "data", "forward", "backward", "optimizer"
CHECKPOINT = "checkpoint"
WAITING = "waiting"  # in a call of a group: until it is done, nothing else goes on
KINDS = (DATA, FORWARD, BACKWARD, OPTIMIZER, CHECKPOINT, WAITING)


class Transfer:
    """A call of a group, from when it was launched to its end.

    Attributes:
        name: "all_reduce(SUM, float32, 640 elements)".
        nbytes: how much each rank brings.
        group, number: which of which group's calls it is: the same on all ranks; number 0 for messages.
        is_async: whether its caller went on meanwhile.
        began_ns: when, by ``time.perf_counter_ns``.
        heard: who was told of its beginning.
    """

    __slots__ = ("began_ns", "group", "heard", "is_async", "name", "nbytes", "number")

    def __init__(self, name: str, nbytes: int, group: int, number: int, is_async: bool) -> None:
        self.name, self.nbytes, self.group, self.number, self.is_async = name, nbytes, group, number, is_async
        self.heard = listeners
        self.began_ns = time.perf_counter_ns()


class Listener:
    """Hears what is done, in the thread that does it; a call may end in another thread.

    Attributes:
        is_close: whether it hears of small all-reduces that take less than telling does, too. A profiler does; the
            record of a run, which is always kept under the launcher, does not.
    """

    is_close = False

    def begin(self, kind: str) -> None:
        """Something of a kind begins; what is within it is told as well."""

    def end(self, kind: str) -> None:
        """The innermost of what has begun ends."""

    def launch(self, transfer: Transfer) -> None:
        """A call of a group begins."""

    def land(self, transfer: Transfer) -> None:
        """It has ended."""

    def note(self, name: str, value: float, step: int | None) -> None:
        """The script has said a number, such as its loss."""


listeners: tuple[Listener, ...] = ()
is_heard_closely = False


def listen(listener: Listener) -> None:
    """Tell ``listener``, too."""
    _have((*listeners, listener))


def leave(listener: Listener) -> None:
    """Tell it no more."""
    _have(tuple(each for each in listeners if each is not listener))


def _have(those: tuple[Listener, ...]) -> None:
    global listeners, is_heard_closely
    listeners, is_heard_closely = those, any(each.is_close for each in those)


class doing:  # noqa: N801 - reads as what it says: with doing(DATA)
    """Tells that what is in the block is of a kind."""

    __slots__ = ("_heard", "_kind")

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __enter__(self) -> None:
        self._heard = listeners
        for each in self._heard:
            each.begin(self._kind)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._heard:
            each.end(self._kind)


def launched(name: str, nbytes: int, group: int, number: int, is_async: bool) -> Transfer | None:
    """Tell that a call of a group begins; what `ended` takes."""
    if not listeners:
        return None
    transfer = Transfer(name, nbytes, group, number, is_async)
    for each in transfer.heard:
        each.launch(transfer)
    return transfer


def ended(transfer: Transfer) -> None:
    """Tell that it has ended."""
    for each in transfer.heard:
        each.land(transfer)


def noted(name: str, value: float, step: int | None = None) -> None:
    """Tell a number that the script has said."""
    for each in listeners:
        each.note(name, value, step)


def _forget() -> None:
    """A forked child, such as a loader's worker, does nothing that its parent's listeners want to hear."""
    _have(())


os.register_at_fork(after_in_child=_forget)
