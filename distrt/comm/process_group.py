"""The seam between those who communicate and those who carry: `ProcessGroup` and `Work`.

Callers (DDP, `distrt.distributed`) see the public methods; each transport fills in the few underscored ones,
which receive checked, flat, contiguous arrays. All checks, and the numbering of operations, are here.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.reduction import Array, ReduceOp, Reduction, check_dtype
from distrt.core.errors import DistributedError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["COMPLETED", "ProcessGroup", "ReduceOp", "Work", "block_bounds", "name_ranks"]


class Work(ABC):
    """A collective that was launched."""

    __slots__ = ()

    @abstractmethod
    def is_completed(self) -> bool:
        """Whether the result is there. Never blocks; moves the operation on if it can."""

    @abstractmethod
    def wait(self, timeout: float | None = None) -> bool:
        """Block until the result is there, and return True.

        Args:
            timeout: seconds; the group's time-out where None. After a shorter one the caller may wait again.

        Raises:
            CollectiveTimeout: a rank did not come in time.
            PeerFailed: a rank died or left.
        """


class _Completed(Work):
    __slots__ = ()

    def is_completed(self) -> bool:
        return True

    def wait(self, timeout: float | None = None) -> bool:
        return True


COMPLETED: Work = _Completed()


class _CopyBack(Work):
    """Work on a contiguous copy, whose result goes back into the caller's strided array at the end."""

    __slots__ = ("_array", "_copy", "_done", "_work")

    def __init__(self, work: Work, array: Array, copy: Array) -> None:
        self._work, self._array, self._copy = work, array, copy
        self._done = False

    def is_completed(self) -> bool:
        return self._work.is_completed() and self.wait()

    def wait(self, timeout: float | None = None) -> bool:
        self._work.wait(timeout)
        if not self._done:
            self._array[...] = self._copy
            self._done = True
        return True


class ProcessGroup(ABC):
    """Ranks that communicate. One thread per rank calls; all ranks call the same operations in the same order.

    Args:
        rank: this process's number in the group.
        size: how many ranks there are.
        timeout_s: the longest that any operation waits for another rank.
        name: how error messages call the group.
    """

    backend: str

    def __init__(self, rank: int, size: int, timeout_s: float, name: str) -> None:
        if not 0 <= rank < size:
            raise DistributedError(f"rank {rank} is not in a group of {size}")
        if timeout_s <= 0:
            raise DistributedError(f"timeout_s must be positive, got {timeout_s}")
        self.rank = rank
        self.size = size
        self.timeout_s = timeout_s
        self.name = name
        self.operation = "none"
        self.sequence = 0
        self._closed_because: str | None = None
        self._reductions: dict[tuple[ReduceOp, np.dtype[Any]], Reduction] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, rank={self.rank}, size={self.size})"

    def all_reduce(self, array: Array, op: ReduceOp = ReduceOp.SUM, async_op: bool = False) -> Work:
        """Replace ``array`` on every rank by the combination of all ranks' arrays; same bits on all ranks."""
        self._enter("all_reduce")
        reduction = self._reductions.get((op, array.dtype)) or self._new_reduction(op, array.dtype)
        if array.flags.carray:
            return self._all_reduce(array if array.ndim == 1 else array.reshape(-1), reduction, async_op)
        copy = self._writable_copy(array)
        return self._finish(self._all_reduce(copy.reshape(-1), reduction, async_op), array, copy, async_op)

    def broadcast(self, array: Array, src: int, async_op: bool = False) -> Work:
        """Replace ``array`` on every rank by rank ``src``'s."""
        self._enter("broadcast")
        check_dtype("broadcast", array.dtype)
        if not 0 <= src < self.size:
            raise DistributedError(self.label(f"src {src} is not a rank of a group of {self.size}"))
        if array.flags.carray:
            return self._broadcast(array.reshape(-1), src, async_op)
        copy = array.copy(order="C") if src == self.rank else self._writable_copy(array)
        work = self._broadcast(copy.reshape(-1), src, async_op)
        return work if src == self.rank else self._finish(work, array, copy, async_op)

    def all_gather(self, output: Array, array: Array, async_op: bool = False) -> Work:
        """Put rank r's ``array`` into ``output[r]`` on every rank.

        Shape: output is (size, *array.shape).
        """
        self._enter("all_gather")
        check_dtype("all_gather", array.dtype)
        self._check_stacked("output", output, "array", array)
        source = np.ascontiguousarray(array).reshape(-1)
        if output.flags.carray:
            return self._all_gather(output.reshape(self.size, -1), source, async_op)
        copy = self._writable_copy(output)
        return self._finish(
            self._all_gather(copy.reshape(self.size, -1), source, async_op), output, copy, async_op
        )

    def reduce_scatter(
        self, output: Array, array: Array, op: ReduceOp = ReduceOp.SUM, async_op: bool = False
    ) -> Work:
        """Combine all ranks' ``array``, and put row r of the result into rank r's ``output``.

        Shape: array is (size, *output.shape).
        """
        self._enter("reduce_scatter")
        reduction = self._reductions.get((op, array.dtype)) or self._new_reduction(op, array.dtype)
        self._check_stacked("array", array, "output", output)
        source = np.ascontiguousarray(array).reshape(self.size, -1)
        if output.flags.carray:
            return self._reduce_scatter(output.reshape(-1), source, reduction, async_op)
        copy = self._writable_copy(output)
        return self._finish(
            self._reduce_scatter(copy.reshape(-1), source, reduction, async_op), output, copy, async_op
        )

    def barrier(self, async_op: bool = False) -> Work:
        """Return when every rank has come here."""
        self._enter("barrier")
        return self._barrier(async_op)

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """This rank's zeroed buffer, one on every rank, which collectives use without copying (all ranks call).

        A buffer carries one operation at a time: launching a second one on it, or on another view of it, first
        finishes the first. Its views must cover the same elements on all ranks.
        """
        self._enter("allocate")
        dtype = np.dtype(dtype)
        check_dtype("allocate", dtype)
        return self._allocate((shape,) if isinstance(shape, int) else tuple(shape), dtype)

    def free(self, array: Array) -> None:
        """Give back the memory of an `allocate`d buffer (all ranks call). Its views must not be used again."""
        self._enter("free")
        self._free(array)

    def progress(self) -> None:  # noqa: B027 - nothing to do is the right default
        """Move outstanding operations on, in launch order, as far as possible without blocking."""

    def close(self) -> None:
        """Leave the group; ranks that still wait for this one are told. Later calls do nothing."""
        if self._closed_because is None:
            self._closed_because = "it was closed"
        self._close()

    def label(self, text: str, operation: str | None = None, sequence: int | None = None) -> str:
        """``text`` with the rank, the operation and its number in front, as every error of a group begins."""
        return f"rank {self.rank}: {operation or self.operation} #{sequence or self.sequence}: {text}"

    def _enter(self, operation: str) -> None:
        # The one place that every collective passes: here it gets its number, and ranks may compare calls.
        if self._closed_because is not None:
            raise DistributedError(
                f"rank {self.rank}: {operation}: group {self.name!r} is of no use any more: {self._closed_because}"
            )
        self.operation = operation
        self.sequence += 1

    def _new_reduction(self, op: ReduceOp, dtype: np.dtype[Any]) -> Reduction:
        reduction = self._reductions[op, dtype] = Reduction(op, dtype, self.size)
        return reduction

    def _check_stacked(self, stacked_name: str, stacked: Array, name: str, array: Array) -> None:
        if stacked.shape != (self.size, *array.shape):
            raise ShapeError(
                self.label(
                    f"{stacked_name} must have shape {(self.size, *array.shape)} "
                    f"({self.size} ranks of {name}'s {array.shape}), got {stacked.shape}"
                )
            )
        if stacked.dtype != array.dtype:
            raise ShapeError(
                self.label(f"{stacked_name} is {stacked.dtype} and {name} is {array.dtype}; they must agree")
            )

    def _writable_copy(self, array: Array) -> Array:
        if not array.flags.writeable:
            raise DistributedError(self.label("the result has nowhere to go: the array is read-only"))
        return array.copy(order="C")

    @staticmethod
    def _finish(work: Work, array: Array, copy: Array, async_op: bool) -> Work:
        work = _CopyBack(work, array, copy)
        if not async_op:
            work.wait()
        return work

    @abstractmethod
    def _all_reduce(self, flat: Array, reduction: Reduction, async_op: bool) -> Work: ...

    @abstractmethod
    def _broadcast(self, flat: Array, src: int, async_op: bool) -> Work: ...

    @abstractmethod
    def _all_gather(self, rows: Array, flat: Array, async_op: bool) -> Work: ...

    @abstractmethod
    def _reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, async_op: bool) -> Work: ...

    @abstractmethod
    def _barrier(self, async_op: bool) -> Work: ...

    @abstractmethod
    def _allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array: ...

    @abstractmethod
    def _free(self, array: Array) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


def name_ranks(ranks: list[int]) -> str:
    """``[2]`` -> "rank 2", ``[0, 2]`` -> "ranks 0, 2"."""
    return f"rank{'s' * (len(ranks) > 1)} {', '.join(map(str, ranks))}"


def block_bounds(length: int, parts: int, align: int = 1) -> list[int]:
    """Bounds of ``parts`` nearly equal runs of ``length`` elements, at multiples of ``align``: parts + 1 numbers."""
    inner = (length * part // parts // align * align for part in range(1, parts))
    return list(itertools.chain([0], inner, [length]))
