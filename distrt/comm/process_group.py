"""`ProcessGroup`: the ranks that communicate, and every check of what they are asked to do.

Callers (DDP, `distrt.distributed`) see its methods; a `Transport` carries the flat, contiguous arrays that it makes of
theirs. All checks, and the numbering of operations, are here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.comm.progress import Engine, Operation
from distrt.comm.reduction import AnyOp, Array, ReduceOp, Reduction, as_sum, check_dtype
from distrt.comm.transport import Transport
from distrt.comm.work import Completed, Work
from distrt.core.errors import DistributedError, ShapeError

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["COMPLETED", "ProcessGroup", "ReduceOp", "Work"]

COMPLETED: Work = Completed()


class ProcessGroup:
    """Ranks that communicate. One thread per rank calls; all ranks call the same operations in the same order.

    Args:
        transport: what carries the arrays.
        timeout_s: the longest that any operation waits for another rank.
        name: how error messages call the group.
        ranks: the ranks of the job that are in the group, in the group's order; all of them when not given.
        backend: what the group was asked to be; the transport's own name when not given.
    """

    def __init__(
        self,
        transport: Transport,
        timeout_s: float,
        name: str = "world",
        ranks: Sequence[int] | None = None,
        backend: str | None = None,
    ) -> None:
        if timeout_s <= 0:
            raise DistributedError(f"timeout_s must be positive, got {timeout_s}")
        self.timeout_s = timeout_s
        self.group_name = name
        self.group_desc = "undefined"  # PyTorch's word for a group that nobody described
        self.bound_device_id: Any = None
        self.ranks = tuple(range(transport.size) if ranks is None else ranks)
        self.backend = backend or transport.kind
        self.backend_asked = self.backend  # may name devices: "cpu:gloo,cuda:nccl"
        self.transport = transport
        self.operation = "none"
        self.sequence = 0
        self._rank = transport.rank
        self._size = transport.size
        self._engine = Engine(self.label, timeout_s, transport.look)
        self._closed_because: str | None = None
        self._reductions: dict[tuple[ReduceOp, np.dtype[Any]], Reduction] = {}

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.group_name!r}: rank {self._rank} of {self._size}, {self.backend}>"
        )

    def rank(self) -> int:
        """This process's number in the group."""
        return self._rank

    def size(self) -> int:
        """How many ranks there are."""
        return self._size

    @property
    def is_closed(self) -> bool:
        """Whether this process has left the group."""
        return self._closed_because is not None

    def name(self) -> str:
        """The backend's name, as PyTorch's groups give it."""
        return self.backend

    # Collectives.

    def all_reduce(
        self,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        deterministic: bool = False,
    ) -> Work:
        """Replace ``array`` on every rank by the combination of all ranks' arrays; same bits on all ranks.

        The ranks' elements are always combined along one binary tree over the ranks, whatever the array's size, so
        that every run gives the same bits; ``deterministic`` asks for what is the case in any event.
        """
        self._enter("all_reduce")
        if type(op) is not ReduceOp:
            op = as_sum(op, array, out=array)
        reduction = self._reductions.get((op, array.dtype)) or self._new_reduction(op, array.dtype)
        if array.flags.carray:
            flat = array if array.ndim == 1 else array.reshape(-1)
            if not async_op and self.transport.all_reduce_at_once(
                flat, reduction, self._engine, (self.operation, self.sequence)
            ):
                return COMPLETED
            return self._run(self.transport.all_reduce(flat, reduction), async_op)
        copy = self._writable_copy(array)
        operation = self.transport.all_reduce(copy.reshape(-1), reduction)
        return self._run(operation, async_op, lambda: _assign(array, copy))

    def reduce(self, array: Array, dst: int, op: AnyOp = ReduceOp.SUM, async_op: bool = False) -> Work:
        """Replace ``array`` on rank ``dst`` by the combination of all ranks' arrays; the others' stay as they are."""
        self._enter("reduce")
        self._check_rank("dst", dst)
        op, scaled = self._scaled(op, array)
        reduction = self._reductions.get((op, array.dtype)) or self._new_reduction(op, array.dtype)
        if scaled is array and array.flags.carray:
            return self._run(self.transport.reduce(array.reshape(-1), dst, reduction), async_op)
        if self._rank != dst:
            flat = np.ascontiguousarray(scaled).reshape(-1)
            return self._run(self.transport.reduce(flat, dst, reduction), async_op)
        self._check_writable(array)
        copy = scaled.copy(order="C")
        operation = self.transport.reduce(copy.reshape(-1), dst, reduction)
        return self._run(operation, async_op, lambda: _assign(array, copy))

    def broadcast(self, array: Array, src: int, async_op: bool = False) -> Work:
        """Replace ``array`` on every rank by rank ``src``'s."""
        self._enter("broadcast")
        check_dtype("broadcast", array.dtype)
        self._check_rank("src", src)
        if array.flags.carray:
            return self._run(self.transport.broadcast(array.reshape(-1), src), async_op)
        if src == self._rank:
            return self._run(self.transport.broadcast(array.copy(order="C").reshape(-1), src), async_op)
        copy = self._writable_copy(array)
        operation = self.transport.broadcast(copy.reshape(-1), src)
        return self._run(operation, async_op, lambda: _assign(array, copy))

    def all_gather(self, output: Array | Sequence[Array], array: Array, async_op: bool = False) -> Work:
        """Put rank r's ``array`` into ``output[r]`` on every rank.

        Shape: output is one array (size, *array.shape), or one array a rank, of that rank's own shape.
        """
        self._enter("all_gather")
        check_dtype("all_gather", array.dtype)
        outputs = self._one_per_rank("output", output, "array", array)
        self._check_same("output", outputs[self._rank], "array", array)
        flats, finish = self._outputs(outputs)
        return self._run(self.transport.all_gather(flats, _flat(array)), async_op, finish)

    def gather(
        self, output: Array | Sequence[Array] | None, array: Array, dst: int, async_op: bool = False
    ) -> Work:
        """Put rank r's ``array`` into ``output[r]`` of rank ``dst``; all arrays have one shape.

        Shape: output is (size, *array.shape), as one array or one a rank; on the other ranks None.
        """
        self._enter("gather")
        check_dtype("gather", array.dtype)
        self._check_rank("dst", dst)
        if self._rank != dst:
            return self._run(self.transport.gather(None, _flat(array), dst), async_op)
        if output is None:
            raise ShapeError(self.label("output must be given on the rank that gathers"))
        outputs = self._one_per_rank("output", output, "array", array)
        for each in outputs:
            self._check_same("output", each, "array", array)
        flats, finish = self._outputs(outputs)
        return self._run(self.transport.gather(flats, _flat(array), dst), async_op, finish)

    def scatter(
        self, array: Array, inputs: Array | Sequence[Array] | None, src: int, async_op: bool = False
    ) -> Work:
        """Replace rank r's ``array`` by ``inputs[r]`` of rank ``src``; all arrays have one shape.

        Shape: inputs is (size, *array.shape), as one array or one a rank; on the other ranks None.
        """
        self._enter("scatter")
        check_dtype("scatter", array.dtype)
        self._check_rank("src", src)
        (flat,), finish = self._outputs([array])
        if self._rank != src:
            return self._run(self.transport.scatter(flat, None, src), async_op, finish)
        if inputs is None:
            raise ShapeError(self.label("inputs must be given on the rank that scatters"))
        parts = self._one_per_rank("inputs", inputs, "array", array)
        for each in parts:
            self._check_same("inputs", each, "array", array)
        return self._run(self.transport.scatter(flat, [_flat(each) for each in parts], src), async_op, finish)

    def reduce_scatter(
        self, output: Array, array: Array, op: AnyOp = ReduceOp.SUM, async_op: bool = False
    ) -> Work:
        """Combine all ranks' ``array``, and put row r of the result into rank r's ``output``.

        Shape: array is (size, *output.shape).
        """
        self._enter("reduce_scatter")
        op, array = self._scaled(op, array)
        reduction = self._reductions.get((op, array.dtype)) or self._new_reduction(op, array.dtype)
        self._one_per_rank("array", array, "output", output)
        self._check_same("array", array[self._rank], "output", output)
        source = np.ascontiguousarray(array).reshape(self._size, -1)
        (flat,), finish = self._outputs([output])
        return self._run(self.transport.reduce_scatter(flat, source, reduction), async_op, finish)

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], async_op: bool = False) -> Work:
        """Put rank r's ``inputs[rank]`` into ``outputs[r]``, for any shapes that fit one another.

        Raises:
            ShapeError: what a rank sends and what its receiver expects differ in size (on every rank; the group
                can be used further).
        """
        self._enter("all_to_all")
        for name, arrays in (("outputs", outputs), ("inputs", inputs)):
            if len(arrays) != self._size:
                raise ShapeError(
                    self.label(f"{name} must be one array per rank ({self._size}), got {len(arrays)}")
                )
            for each in arrays:
                check_dtype("all_to_all", each.dtype)
                self._check_dtype(name, each, "inputs", inputs[0])
        flats, finish = self._outputs(outputs)
        return self._run(self.transport.all_to_all(flats, [_flat(each) for each in inputs]), async_op, finish)

    def barrier(self, async_op: bool = False) -> Work:
        """Return when every rank has come here."""
        self._enter("barrier")
        return self._run(self.transport.barrier(), async_op)

    # Messages between two ranks; they are not numbered, since only two ranks take part.

    def send(self, array: Array, dst: int, tag: int = 0, async_op: bool = False) -> Work:
        """Send ``array`` to rank ``dst``, which must receive it with the same tag."""
        self._require_open("send")
        check_dtype("send", array.dtype)
        self._check_rank("dst", dst, "send")
        if dst == self._rank:
            raise DistributedError(self.label("a rank cannot send to itself", "send"))
        operation = self.transport.send(_flat(array), dst, tag)
        return self._run(operation, async_op, label="send")

    def recv(self, array: Array, src: int | None = None, tag: int = 0, async_op: bool = False) -> Work:
        """Receive into ``array`` from rank ``src`` (None: from any); the work's ``source_rank()`` says from which."""
        self._require_open("recv")
        check_dtype("recv", array.dtype)
        if src is not None:
            self._check_rank("src", src, "recv")
            if src == self._rank:
                raise DistributedError(self.label("a rank cannot receive from itself", "recv"))
        (flat,), finish = self._outputs([array])
        operation = self.transport.recv(flat, src, tag)
        if async_op:
            return self._run(operation, True, finish, label="recv")
        work = _Received(int(self._engine.run(operation, ("recv", self.sequence))))
        if finish is not None:
            finish()
        return work

    # Memory, and the group's life.

    def allocate(self, shape: int | tuple[int, ...], dtype: npt.DTypeLike) -> Array:
        """This rank's zeroed buffer, one on every rank, which collectives use without copying (all ranks call).

        Operations on one buffer, or on views of it, run one after another. Its views must cover the same elements
        on all ranks.
        """
        self._enter("allocate")
        dtype = np.dtype(dtype)
        check_dtype("allocate", dtype)
        wanted = (shape,) if isinstance(shape, int) else tuple(shape)
        array: Array = self._engine.run(
            self.transport.allocate(wanted, dtype), (self.operation, self.sequence)
        )
        return array

    def free(self, array: Array) -> None:
        """Give back the memory of an `allocate`d buffer (all ranks call). Its views must not be used again."""
        self._enter("free")
        self._engine.run(self.transport.free(array), (self.operation, self.sequence))

    def progress(self) -> None:
        """Move outstanding operations on, in launch order, as far as possible without blocking."""
        self._engine.progress()

    def close(self) -> None:
        """Leave the group; ranks that still wait for this one are told. Later calls do nothing."""
        if self._closed_because is None:
            self._closed_because = "it was closed"
            self._engine.close()
            self.transport.close()

    def label(self, text: str, operation: str | None = None, sequence: int | None = None) -> str:
        """``text`` with the rank, the operation and its number in front, as every error of a group begins."""
        return f"rank {self._rank}: {operation or self.operation} #{sequence or self.sequence}: {text}"

    # Checks, and the way to the transport.

    def _enter(self, operation: str) -> None:
        # The one place that every collective passes: here it gets its number, and ranks may compare calls.
        self._require_open(operation)
        self.operation = operation
        self.sequence += 1

    def _require_open(self, operation: str) -> None:
        because = self._closed_because or self._engine.failed
        if because is not None:
            raise DistributedError(
                f"rank {self._rank}: {operation}: group {self.group_name!r} is of no use any more: {because}"
            )

    def _run(
        self,
        operation: Operation,
        async_op: bool,
        finish: Callable[[], object] | None = None,
        label: str | None = None,
    ) -> Work:
        named = (label or self.operation, self.sequence)
        if not async_op:
            self._engine.run(operation, named)
            if finish is not None:
                finish()
            return COMPLETED
        return self._engine.launch(operation, named, finish)

    def _outputs(self, arrays: Sequence[Array]) -> tuple[list[Array], Callable[[], object] | None]:
        """Flat arrays to write to, and what brings the results home where those are copies."""
        flats: list[Array] = []
        copies: list[tuple[Array, Array]] = []
        for array in arrays:
            if array.flags.carray:
                flats.append(array.reshape(-1))
            else:
                self._check_writable(array)
                flats.append(np.empty(array.size, array.dtype))
                copies.append((array, flats[-1]))
        if not copies:
            return flats, None

        def finish() -> None:
            for array, copy in copies:
                array[...] = copy.reshape(array.shape)

        return flats, finish

    @staticmethod
    def _scaled(op: AnyOp, array: Array) -> tuple[ReduceOp, Array]:
        """A plain operation, and the array that it is done on: a copy where a factor comes first."""
        if type(op) is ReduceOp:
            return op, array
        scaled = np.empty_like(array)
        return as_sum(op, array, out=scaled), scaled

    def _new_reduction(self, op: ReduceOp, dtype: np.dtype[Any]) -> Reduction:
        reduction = self._reductions[op, dtype] = Reduction(op, dtype, self._size)
        return reduction

    def _one_per_rank(
        self, name: str, arrays: Array | Sequence[Array], other_name: str, other: Array
    ) -> Sequence[Array]:
        """The arrays of all ranks, given as one stacked array or as a sequence."""
        if isinstance(arrays, np.ndarray):
            if arrays.shape != (self._size, *other.shape):
                raise ShapeError(
                    self.label(
                        f"{name} must have shape {(self._size, *other.shape)} "
                        f"({self._size} ranks of {other_name}'s {other.shape}), got {arrays.shape}"
                    )
                )
            return [arrays[rank, ...] for rank in range(self._size)]
        if len(arrays) != self._size:
            raise ShapeError(
                self.label(f"{name} must be one array per rank ({self._size}), got {len(arrays)}")
            )
        for each in arrays:
            self._check_dtype(name, each, other_name, other)
        return arrays

    def _check_same(self, name: str, array: Array, other_name: str, other: Array) -> None:
        if array.shape != other.shape:
            raise ShapeError(
                self.label(f"{name} must have {other_name}'s shape {other.shape}, got {array.shape}")
            )
        self._check_dtype(name, array, other_name, other)

    def _check_dtype(self, name: str, array: Array, other_name: str, other: Array) -> None:
        if array.dtype != other.dtype:
            raise ShapeError(
                self.label(f"{name} is {array.dtype} and {other_name} is {other.dtype}; they must agree")
            )

    def _check_rank(self, name: str, rank: int, operation: str | None = None) -> None:
        if not 0 <= rank < self._size:
            raise DistributedError(
                self.label(f"{name} {rank} is not a rank of a group of {self._size}", operation)
            )

    def _check_writable(self, array: Array) -> None:
        if not array.flags.writeable:
            raise DistributedError(self.label("the result has nowhere to go: the array is read-only"))

    def _writable_copy(self, array: Array) -> Array:
        self._check_writable(array)
        return array.copy(order="C")


class _Received(Completed):
    __slots__ = ("_source",)

    def __init__(self, source: int) -> None:
        super().__init__()
        self._source = source

    def source_rank(self) -> int:
        return self._source


def _flat(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(-1)


def _assign(array: Array, value: Array) -> None:
    array[...] = value
