"""The seam between those who communicate and those who carry.

A transport connects the ranks of one group. It says how an operation runs, step by step (`distrt.comm.progress`), on
arrays that `ProcessGroup` has checked: flat, contiguous, of a dtype that `check_dtype` knows. It neither checks nor
numbers calls, and it waits for nothing itself.

``local``, ``shm``, ``machines``, ``solo`` and ``nccl`` fill the seam in; one conformance suite
(``tests/conformance``) runs on all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.looking import Look
from distrt.comm.progress import Engine, Label, Operation
from distrt.comm.reduction import Array, Reduction
from distrt.comm.status import Status, StatusPage

__all__ = ["AtOnce", "Transport", "block_bounds", "misfit", "require_fitting_lengths"]


class AtOnce(NamedTuple):
    """A shorter way for small all-reduces, past the engine's book-keeping.

    Attributes:
        run: does one on a flat array.
        is_barred: whether an array cannot go this way; None where all can.
    """

    run: Callable[[Array, Engine, Label], None]
    is_barred: Callable[[Array], bool] | None


class Transport(ABC):
    """What carries the arrays of one group, as seen by one rank.

    Collectives take the fingerprint of the call (`distrt.comm.calls`): none goes on, and no data is touched, until
    all ranks have come to the operation with the same one.

    Args:
        rank: this process's number in the group.
        size: how many ranks there are.
    """

    kind: str  #: "shm", "local", …

    def __init__(self, rank: int, size: int) -> None:
        self.rank = rank
        self.size = size
        # The same on the group's ranks, and no other group's, earlier ones of its name included.
        self.identity = ""

    # What ranks see of one another while they wait (`distrt.comm.diagnosis`).

    @property
    def page(self) -> StatusPage | None:
        """Where this rank notes its calls."""
        return None

    def peek(self, rank: int) -> Status | None:
        """What a rank of the group does; None where that is not known."""
        return None

    def plight(self, rank: int) -> str:
        """What is remarkable about a rank's process, or nothing."""
        return ""

    def is_silent(self, rank: int) -> bool:
        """Whether a rank that seems to wait cannot say anything."""
        return False

    def stacks(self, rank: int, patience_s: float) -> str:
        """The Python stacks of another rank, or why they cannot be had."""
        return "(its stacks cannot be seen from here)"

    def gone(self, ranks: Sequence[int]) -> str | None:
        """What became of those of ``ranks`` that have ended or left; None where all are there."""
        return None

    def give_up(self, because: str) -> None:
        """This rank does not go on with the group: it may be in the middle of an operation."""
        return

    @property
    def look(self) -> Look:
        """How ranks look out for one another before they sleep."""
        return Look.NEVER

    @property
    def head_start_s(self) -> float:
        """For how long the helper thread leaves an operation to the caller."""
        return 0.0

    @abstractmethod
    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """``flat`` becomes the reduction of all ranks' on every rank."""

    def prepare_all_reduce(
        self, dtype: np.dtype[Any], count: int, reduction: Reduction, fingerprint: int
    ) -> AtOnce | None:
        """A shorter way for the small all-reduces of a kind, if there is one."""
        return None

    @abstractmethod
    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """``flat`` of rank ``dst`` becomes the reduction; the others' stay as they are."""

    @abstractmethod
    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """``flat`` becomes row ``rank`` of the reduction of all ranks' ``rows`` (size, n)."""

    def reduce_rows(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """As `reduce_scatter`; may be over while other ranks still read ``rows``, if these are a buffer."""
        return self.reduce_scatter(flat, rows, reduction, fingerprint)

    @abstractmethod
    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """``flat`` becomes rank ``src``'s."""

    @abstractmethod
    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """``outputs[r]`` becomes rank r's ``flat``, whose length it has; lengths may differ between ranks."""

    @abstractmethod
    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """``outputs[r]`` of rank ``dst`` becomes rank r's ``flat``; all have one length. None on the others."""

    @abstractmethod
    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """``flat`` becomes ``inputs[rank]`` of rank ``src``; all have one length. None on the others."""

    @abstractmethod
    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """``outputs[r]`` becomes rank r's ``inputs[rank]``; any lengths.

        The steps return a `ShapeError` on every rank where what is sent and what is expected differ in length
        (see `require_fitting_lengths`).
        """

    @abstractmethod
    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """Send to one rank. Messages between two ranks with one tag arrive in the order in which they were sent."""

    @abstractmethod
    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """Receive from one rank (None: whoever sends first); the steps return the sender's rank.

        A message of another length or dtype is an error that names both, which the steps return; it is consumed.
        """

    @abstractmethod
    def barrier(self, fingerprint: int) -> Operation:
        """Over when every rank has come."""

    @abstractmethod
    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """The steps return this rank's zeroed buffer, which operations use without copying."""

    @abstractmethod
    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """The steps return zeros that are one piece of memory for all ranks of a machine.

        It is given back with the last array on it, also where ranks are killed.
        """

    @property
    def mates(self) -> Sequence[int]:
        """The ranks of this machine, this one among them, in order."""
        return range(self.size)

    @property
    def takes_gpu_memory(self) -> bool:
        """Whether operations take arrays on a GPU as they are."""
        return False

    @property
    def ends_together(self) -> bool:
        """Whether a collective on an `allocate`d buffer ends only when all ranks are done with it."""
        return False

    @abstractmethod
    def free(self, array: Array, fingerprint: int) -> Operation:
        """Give an `allocate`d buffer back."""

    def renew(self, array: Array) -> Array:
        """A new array for an `allocate`d one, with its values; views of the old one stay as they are from now on."""
        return np.array(array)

    @abstractmethod
    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Connect some of this group's ranks, this one among them, in the given order (all of them call)."""

    @abstractmethod
    def close(self) -> None:
        """Leave: ranks that still wait for this one are told. Once."""


def require_fitting_lengths(sent: Array, expected: Array) -> str | None:
    """What does not fit, if something does not.

    Shape: sent and expected are (size, size): ``sent[i, j]`` bytes go from rank i to rank j, which has room for
    ``expected[j, i]``.
    """
    faults = np.argwhere(sent != expected.T)
    if not len(faults):
        return None
    source, target = (int(each) for each in faults[0])
    more = f" (and {len(faults) - 1} more such pairs)" if len(faults) > 1 else ""
    return (
        f"rank {source} sends {sent[source, target]} bytes to rank {target}, "
        f"which expects {expected[target, source]}{more}"
    )


def misfit(source: int, nbytes: int, dtype: str, array: Array) -> str | None:
    """Why a message of ``nbytes`` of ``dtype`` from rank ``source`` cannot be received into ``array``, if it cannot."""
    if (nbytes, dtype) == (array.nbytes, array.dtype.name):
        return None
    itemsize = 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize
    return (
        f"rank {source} sent {nbytes // itemsize} elements of {dtype}, "
        f"the receiver has room for {array.size} elements of {array.dtype.name}"
    )


def block_bounds(length: int, parts: int, align: int = 1) -> list[int]:
    """Bounds of ``parts`` nearly equal runs of ``length`` elements, at multiples of ``align``: parts + 1 numbers."""
    inner = (length * part // parts // align * align for part in range(1, parts))
    return [0, *inner, length]
