"""`HostLane`: arrays on a GPU, exchanged through page-locked memory of the CPU.

For the backends whose work the CPU does ("gloo", "mpi"): what is sent is copied down, what has come is copied up. The
program waits for both. `distrt.comm.mpi.lane` leaves these copies out where it can.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.reduction import AnyOp, Array, PremulSum, ReduceOp
from distrt.comm.work import Work
from distrt.core.arrays import is_on_gpu, on_host
from distrt.core.gpu import library as gpus

if TYPE_CHECKING:
    from distrt.comm.process_group import ProcessGroup

__all__ = ["HostLane"]


class HostLane:
    """The lane of a group whose transport carries what is in the memory of the CPU.

    Args:
        control: the group.
    """

    def __init__(self, control: ProcessGroup) -> None:
        self._control = control
        #: Of what is in the memory that `_outgoing` and `_incoming` give.
        self._carrier = control

    def all_reduce(
        self,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        deterministic: bool = False,
    ) -> Work:
        """As on the CPU."""
        inner, op = self._entered(array, op)
        work = self._carrier.all_reduce(inner, op, async_op, deterministic)
        return _up(work, async_op, [(array, inner)])

    def reduce(self, array: Array, dst: int, op: AnyOp = ReduceOp.SUM, async_op: bool = False) -> Work:
        """As on the CPU."""
        inner, op = self._entered(array, op)
        work = self._carrier.reduce(inner, dst, op, async_op)
        return _up(work, async_op, [(array, inner)] if self._control.rank() == dst else [])

    def broadcast(self, array: Array, src: int, async_op: bool = False) -> Work:
        """As on the CPU."""
        is_source = self._control.rank() == src
        inner = self._outgoing(array) if is_source else self._incoming(array)
        work = self._carrier.broadcast(inner, src, async_op)
        return _up(work, async_op, [] if is_source else [(array, inner)])

    def all_gather(self, output: Array | Sequence[Array], array: Array, async_op: bool = False) -> Work:
        """As on the CPU."""
        outputs, pairs = self._outputs(output)
        return _up(self._carrier.all_gather(outputs, self._outgoing(array), async_op), async_op, pairs)

    def gather(
        self, output: Array | Sequence[Array] | None, array: Array, dst: int, async_op: bool = False
    ) -> Work:
        """As on the CPU."""
        outputs, pairs = (None, []) if output is None else self._outputs(output)
        return _up(self._carrier.gather(outputs, self._outgoing(array), dst, async_op), async_op, pairs)

    def scatter(
        self, array: Array, inputs: Array | Sequence[Array] | None, src: int, async_op: bool = False
    ) -> Work:
        """As on the CPU."""
        inner = self._incoming(array)
        given = None if inputs is None else [*map(self._outgoing, inputs)]
        return _up(self._carrier.scatter(inner, given, src, async_op), async_op, [(array, inner)])

    def reduce_scatter(
        self,
        output: Array,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        meets_after: bool = True,
    ) -> Work:
        """As on the CPU."""
        inner = self._incoming(output)
        given, op = self._entered(array, op)
        work = self._carrier.reduce_scatter(inner, given, op, async_op, meets_after)
        return _up(work, async_op, [(output, inner)])

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], async_op: bool = False) -> Work:
        """As on the CPU."""
        targets, pairs = self._outputs(outputs)
        work = self._carrier.all_to_all(targets, [*map(self._outgoing, inputs)], async_op)
        return _up(work, async_op, pairs)

    def send(self, array: Array, dst: int, tag: int = 0, async_op: bool = False) -> Work:
        """As on the CPU."""
        return self._carrier.send(self._outgoing(array), dst, tag, async_op)

    def recv(self, array: Array, src: int | None = None, tag: int = 0, async_op: bool = False) -> Work:
        """As on the CPU."""
        inner = self._incoming(array)
        return _up(self._carrier.recv(inner, src, tag, async_op), async_op, [(array, inner)])

    def _outgoing(self, array: Array) -> Array:
        """Memory with an array's elements, for the carrier to read, or to replace by the result."""
        return _down(array)

    def _incoming(self, array: Array) -> Array:
        """Memory for an array's elements, for the carrier to write."""
        return _like(array)

    def _entered(self, array: Array, op: AnyOp) -> tuple[Array, AnyOp]:
        """As `_outgoing`, for a reduction, whose factor comes along."""
        if isinstance(op, PremulSum) and is_on_gpu(op.factor):
            op = PremulSum(on_host(op.factor))
        return self._outgoing(array), op

    def _outputs(self, arrays: Array | Sequence[Array]) -> tuple[Sequence[Array], list[tuple[Array, Array]]]:
        pairs = [(each, self._incoming(each)) for each in arrays]
        return [inner for _, inner in pairs], pairs

    def connect(self) -> None:
        """Nothing to do: the ranks of the group have found one another."""

    def connect_to(self, others: Iterable[int]) -> None:
        """Nothing to do."""

    def drain(self) -> None:
        """Nothing to do: every call has waited for the GPU."""

    def set_timeout(self, timeout_s: float) -> None:
        """Nothing to do: the group's counts."""

    def abort(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""


def _like(array: Array) -> Array:
    """Page-locked memory for an array of this shape and dtype."""
    count = prod(array.shape)
    if not count:
        return np.empty(array.shape, array.dtype)
    memory = gpus.find().cuda.alloc_pinned_memory(array.nbytes)
    return np.frombuffer(memory, array.dtype, count).reshape(array.shape)


def _gpu_of(array: Any) -> Any:
    return array.device


def _down(array: Array) -> Array:
    host = _like(array)
    if array.size:
        with _gpu_of(array):
            packed: Any = array if array.flags.c_contiguous else array.copy(order="C")
            packed.get(out=host)
    return host


def _up(work: Work, async_op: bool, pairs: Sequence[tuple[Array, Array]]) -> Work:
    """Bring results home, from where they are not: at once, or when somebody waits."""
    away = [(array, inner) for array, inner in pairs if array.size and array is not inner]

    def bring() -> None:
        for array, inner in away:
            with _gpu_of(array):
                is_up = is_on_gpu(inner)
                array[...] = inner if is_up else gpus.find().asarray(inner, blocking=True)  # then it is free

    if async_op and away:
        return BroughtUp(work, bring)
    if not async_op:
        bring()
    return work


class BroughtUp(Work):
    """A work of the CPU's, whose results are copied to the GPU by whoever waits for it, on his stream.

    Args:
        work: the CPU's.
        bring: copies.
    """

    __slots__ = ("_bring", "_callbacks", "_is_up", "_work")

    def __init__(self, work: Work, bring: Callable[[], None]) -> None:
        super().__init__()
        self._work, self._bring, self._is_up = work, bring, False
        self._callbacks: list[Callable[[], object]] = []

    def is_completed(self) -> bool:
        if not self._work.is_completed():
            return False
        self._end()
        return True

    def wait(self, timeout: float | timedelta | None = None) -> bool:
        self._work.wait(timeout)
        self._end()
        return True

    def _end(self) -> None:
        if self._is_up:
            return
        self._is_up = True
        if self._work.exception() is None:
            self._bring()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def exception(self) -> BaseException | None:
        return self._work.exception()

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        if self._is_up:
            callback()
        else:
            self._callbacks.append(callback)

    def source_rank(self) -> int:
        return self._work.source_rank()
