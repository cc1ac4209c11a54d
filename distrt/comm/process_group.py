"""`ProcessGroup`: the ranks that communicate, and the operations that they can be asked for.

Callers (DDP, `distrt.distributed`) see its methods; a `Transport` carries the flat, contiguous arrays that it makes of
theirs. Every call is checked here (`distrt.comm.checks`), and made by a `Caller`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distrt.comm.caller import CACHED_KINDS, COMPLETED, Caller
from distrt.comm.calls import Call
from distrt.comm.checks import Checks, assign, flattened, is_flat, lengths, premultiplied
from distrt.comm.group_memory import GroupMemory
from distrt.comm.progress import Engine, Label, Operation
from distrt.comm.reduction import AnyOp, Array, ReduceOp, Reduction, as_sum, check_dtype
from distrt.comm.transport import Transport
from distrt.comm.work import Work
from distrt.core.arrays import is_on_gpu
from distrt.core.errors import DeviceError, DistributedError, ShapeError
from distrt.core.modes import used
from distrt.core.process import activity

if TYPE_CHECKING:
    from distrt.comm.lanes import Lane, Lanes

__all__ = ["COMPLETED", "ProcessGroup", "ReduceOp", "Work"]


class ProcessGroup(GroupMemory):
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
        #: Who carries what is in the memory of GPUs; None where nobody does.
        self.gpu_lane: Lanes | None = None
        self._rank = transport.rank
        self._size = transport.size
        self._caller = self._caller_of(transport, timeout_s, name)
        self._engine = self._caller.engine
        self._checks = Checks(transport.size, self._caller.label)
        self._reductions: dict[tuple[ReduceOp, np.dtype[Any]], Reduction] = {}
        self._all_reduces: dict[tuple[ReduceOp, np.dtype[Any], int], _AllReduce] = {}

    def _caller_of(self, transport: Transport, timeout_s: float, name: str) -> Caller:
        return Caller(transport, timeout_s, name)

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

    def lane_of(self, array: Array) -> ProcessGroup | Lane:
        """Who carries an array: this group what is in the memory of the CPU, its lane for GPUs the rest.

        Raises:
            DeviceError: there is no such lane, in PyTorch's words.
        """
        if not is_on_gpu(array):
            return self
        if self.gpu_lane is None:
            raise DeviceError(
                f"No backend type associated with device type cuda: group {self.group_name!r} (backend "
                f"{self.backend_asked!r}) exchanges what is in the memory of the CPU; send tensor.cpu()"
            )
        return self.gpu_lane.of(array)

    @property
    def is_closed(self) -> bool:
        """Whether this process has left the group."""
        return self._caller.closed_because is not None

    @property
    def sequence(self) -> int:
        """How many collectives this rank has begun."""
        return self._caller.sequence

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
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.all_reduce(array, op, async_op, deterministic)
        caller, engine = self._caller, self._engine
        if caller.closed_because is not None or engine.failed is not None:
            caller.require_open("all_reduce")
        if type(op) is not ReduceOp:
            op = as_sum(op, array, out=array)
        kind = self._all_reduces.get((op, array.dtype, array.size)) or self._new_all_reduce(op, array)
        call, reduction, run, is_barred = kind
        if array.flags.carray:
            flat = array if array.ndim == 1 else array.reshape(-1)
            is_free = not async_op and engine.is_idle
            if run is not None and is_free and (is_barred is None or not is_barred(flat)):
                if activity.is_heard_closely:
                    caller.run_heard(call, lambda label: run(flat, engine, label))
                    return COMPLETED
                entry = caller.begin(call)
                run(flat, engine, ("all_reduce", caller.sequence))
                # Not by a method of the caller's: to call it costs 0.1 us of the 5 that all of this takes.
                if caller.page is not None:
                    caller.page.end(entry)
                return COMPLETED
            return self._caller.run(
                call, self.transport.all_reduce(flat, reduction, call.fingerprint), async_op
            )
        copy = self._checks.writable_copy("all_reduce", array)
        operation = self.transport.all_reduce(copy.reshape(-1), reduction, call.fingerprint)
        return self._caller.run(call, operation, async_op, lambda: assign(array, copy))

    def _all_reduce_by(
        self, reduce: Callable[[Array, Reduction, int], Operation], array: Array, op: AnyOp, async_op: bool
    ) -> Work:
        """An all-reduce on a GPU, which has no shorter way for what is small; ``reduce`` is a transport's."""
        self._caller.require_open("all_reduce")
        op, scaled = premultiplied(op, array)
        reduction = self._reduction(op, array.dtype)
        call = self._call("all_reduce", op.name, array.dtype, array.size)
        is_home = scaled is array and array.flags.c_contiguous
        copy = array if is_home else scaled.copy(order="C")
        operation = reduce(copy.reshape(-1), reduction, call.fingerprint)
        return self._caller.run(call, operation, async_op, None if is_home else lambda: assign(array, copy))

    def reduce(self, array: Array, dst: int, op: AnyOp = ReduceOp.SUM, async_op: bool = False) -> Work:
        """Replace ``array`` on rank ``dst`` by the combination of all ranks' arrays; the others' stay as they are."""
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.reduce(array, dst, op, async_op)
        self._caller.require_open("reduce")
        self._checks.rank("reduce", "dst", dst, role="root")
        op, scaled = premultiplied(op, array)
        reduction = self._reduction(op, array.dtype)
        call = self._call("reduce", f"to rank {dst}", op.name, array.dtype, array.size)
        if scaled is array and is_flat(array):
            operation = self.transport.reduce(array.reshape(-1), dst, reduction, call.fingerprint)
            return self._caller.run(call, operation, async_op)
        if self._rank != dst:
            flat = flattened(scaled)
            return self._caller.run(
                call, self.transport.reduce(flat, dst, reduction, call.fingerprint), async_op
            )
        self._checks.writable("reduce", array)
        copy = scaled.copy(order="C")
        operation = self.transport.reduce(copy.reshape(-1), dst, reduction, call.fingerprint)
        return self._caller.run(call, operation, async_op, lambda: assign(array, copy))

    def broadcast(self, array: Array, src: int, async_op: bool = False) -> Work:
        """Replace ``array`` on every rank by rank ``src``'s."""
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.broadcast(array, src, async_op)
        self._caller.require_open("broadcast")
        check_dtype("broadcast", array.dtype)
        self._checks.rank("broadcast", "src", src, role="root")
        call = self._call("broadcast", f"from rank {src}", array.dtype, array.size)
        is_own = is_flat(array)
        if is_own or src == self._rank:
            flat = (array if is_own else array.copy(order="C")).reshape(-1)
            return self._caller.run(call, self.transport.broadcast(flat, src, call.fingerprint), async_op)
        copy = self._checks.writable_copy("broadcast", array)
        operation = self.transport.broadcast(copy.reshape(-1), src, call.fingerprint)
        return self._caller.run(call, operation, async_op, lambda: assign(array, copy))

    def all_gather(self, output: Array | Sequence[Array], array: Array, async_op: bool = False) -> Work:
        """Put rank r's ``array`` into ``output[r]`` on every rank.

        Shape: output is one array (size, *array.shape), or one array a rank, of that rank's own shape.
        """
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.all_gather(output, array, async_op)
        self._caller.require_open("all_gather")
        check_dtype("all_gather", array.dtype)
        outputs = self._checks.one_per_rank("all_gather", "output", output, "array", array)
        self._checks.alike("all_gather", "output", outputs[self._rank], "array", array)
        call = self._call("all_gather", array.dtype, *lengths(outputs))
        flats, finish = self._checks.outputs("all_gather", outputs)
        operation = self.transport.all_gather(flats, flattened(array), call.fingerprint)
        return self._caller.run(call, operation, async_op, finish)

    def gather(
        self, output: Array | Sequence[Array] | None, array: Array, dst: int, async_op: bool = False
    ) -> Work:
        """Put rank r's ``array`` into ``output[r]`` of rank ``dst``; all arrays have one shape.

        Shape: output is (size, *array.shape), as one array or one a rank; on the other ranks None.
        """
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.gather(output, array, dst, async_op)
        self._caller.require_open("gather")
        check_dtype("gather", array.dtype)
        self._checks.rank("gather", "dst", dst, role="root")
        call = self._call("gather", f"to rank {dst}", array.dtype, array.size)
        flats, finish = None, None
        if self._rank == dst:
            if output is None:
                raise ShapeError(self.label("output must be given on the rank that gathers", "gather"))
            outputs = self._checks.all_alike("gather", "output", output, "array", array)
            flats, finish = self._checks.outputs("gather", outputs)
        operation = self.transport.gather(flats, flattened(array), dst, call.fingerprint)
        return self._caller.run(call, operation, async_op, finish)

    def scatter(
        self, array: Array, inputs: Array | Sequence[Array] | None, src: int, async_op: bool = False
    ) -> Work:
        """Replace rank r's ``array`` by ``inputs[r]`` of rank ``src``; all arrays have one shape.

        Shape: inputs is (size, *array.shape), as one array or one a rank; on the other ranks None.
        """
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.scatter(array, inputs, src, async_op)
        self._caller.require_open("scatter")
        check_dtype("scatter", array.dtype)
        self._checks.rank("scatter", "src", src, role="root")
        call = self._call("scatter", f"from rank {src}", array.dtype, array.size)
        (flat,), finish = self._checks.outputs("scatter", [array])
        parts = None
        if self._rank == src:
            if inputs is None:
                raise ShapeError(self.label("inputs must be given on the rank that scatters", "scatter"))
            given = self._checks.all_alike("scatter", "inputs", inputs, "array", array)
            parts = [flattened(each) for each in given]
        operation = self.transport.scatter(flat, parts, src, call.fingerprint)
        return self._caller.run(call, operation, async_op, finish)

    def reduce_scatter(
        self,
        output: Array,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        meets_after: bool = True,
    ) -> Work:
        """Combine all ranks' ``array``, and put row r of the result into rank r's ``output``.

        Shape: array is (size, *output.shape).

        Args:
            output, array, op, async_op: as ever.
            meets_after: False where the caller has the ranks meet before it writes to ``array``, an `allocate`d buffer,
                again: other ranks may still read it when this is over.
        """
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.reduce_scatter(output, array, op, async_op)
        self._caller.require_open("reduce_scatter")
        op, array = premultiplied(op, array)
        reduction = self._reduction(op, array.dtype)
        if (
            array.shape != (self._size, *output.shape)
            or array.dtype != output.dtype
            or array.__class__ is not output.__class__
        ):
            self._checks.all_alike("reduce_scatter", "array", array, "output", output)  # says what is wrong
        call = self._call("reduce_scatter", op.name, array.dtype, output.size)
        source = flattened(array).reshape(self._size, -1)
        (flat,), finish = self._checks.outputs("reduce_scatter", [output])
        reduce = self.transport.reduce_scatter if meets_after else self.transport.reduce_rows
        operation = reduce(flat, source, reduction, call.fingerprint)
        return self._caller.run(call, operation, async_op, finish)

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], async_op: bool = False) -> Work:
        """Put rank r's ``inputs[rank]`` into ``outputs[r]``, for any shapes that fit one another.

        Raises:
            ShapeError: what a rank sends and what its receiver expects differ in size (on every rank; the group
                can be used further).
        """
        if used.gpu and inputs and (lane := self.lane_of(inputs[0])) is not self:
            return lane.all_to_all(outputs, inputs, async_op)
        self._caller.require_open("all_to_all")
        for name, arrays in (("outputs", outputs), ("inputs", inputs)):
            self._checks.as_many_as_ranks("all_to_all", name, arrays)
            for each in arrays:
                check_dtype("all_to_all", each.dtype)
                self._checks.same_dtype("all_to_all", name, each, "inputs", inputs[0])
        call = self._call("all_to_all", inputs[0].dtype)
        flats, finish = self._checks.outputs("all_to_all", outputs)
        operation = self.transport.all_to_all(flats, [flattened(each) for each in inputs], call.fingerprint)
        return self._caller.run(call, operation, async_op, finish)

    def barrier(self, async_op: bool = False, what: str = "", nbytes: int = 0) -> Work:
        """Return when every rank has come here.

        Args:
            async_op: return at once.
            what: what the ranks come for, if it is the same for all of them: who comes for something else has not come.
            nbytes: how much this rank brings in memory that the ranks share, for those who record the run.
        """
        if used.gpu and self.gpu_lane is not None:
            self.gpu_lane.drain()  # as PyTorch's, it waits for the GPU, too
        self._caller.require_open("barrier")
        call = self._caller.call("barrier", what) if what else self._caller.call("barrier")
        if nbytes:
            call = call._replace(nbytes=nbytes)
        return self._caller.run(call, self.transport.barrier(call.fingerprint), async_op)

    # Messages between two ranks; they are not numbered, since only two ranks take part.

    def send(self, array: Array, dst: int, tag: int = 0, async_op: bool = False) -> Work:
        """Send ``array`` to rank ``dst``, which must receive it with the same tag."""
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.send(array, dst, tag, async_op)
        self._caller.require_open("send")
        check_dtype("send", array.dtype)
        self._checks.rank("send", "dst", dst)
        if dst == self._rank:
            raise DistributedError(self.label("a rank cannot send to itself", "send"))
        call = self._call("send", f"to rank {dst}", array.dtype, array.size)
        return self._caller.run(
            call, self.transport.send(flattened(array), dst, tag), async_op, is_numbered=False
        )

    def recv(self, array: Array, src: int | None = None, tag: int = 0, async_op: bool = False) -> Work:
        """Receive into ``array`` from rank ``src`` (None: from any); the work's ``source_rank()`` says from which."""
        if used.gpu and (lane := self.lane_of(array)) is not self:
            return lane.recv(array, src, tag, async_op)
        self._caller.require_open("recv")
        check_dtype("recv", array.dtype)
        if src is not None:
            self._checks.rank("recv", "src", src)
            if src == self._rank:
                raise DistributedError(self.label("a rank cannot receive from itself", "recv"))
        (flat,), finish = self._checks.outputs("recv", [array])
        source = "any rank" if src is None else f"rank {src}"
        call = self._call("recv", f"from {source}", array.dtype, array.size)
        return self._caller.run(
            call, self.transport.recv(flat, src, tag), async_op, finish, is_numbered=False
        )

    # The group's life.

    def progress(self) -> None:
        """Move outstanding operations on, in launch order, as far as possible without blocking."""
        self._engine.progress()

    def close(self) -> None:
        """Leave the group; ranks that still wait for this one are told. Later calls do nothing."""
        if self._caller.closed_because is None:
            self._caller.closed_because = "it was closed"
            if self.gpu_lane is not None:
                self.gpu_lane.close()
            self._engine.close()
            self.transport.close()

    def label(self, text: str, operation: str, sequence: int | None = None) -> str:
        """``text`` as every error of the group begins: see `Caller.label`."""
        return self._caller.label(text, operation, sequence)

    def _call(self, operation: str, *details: object) -> Call:
        """What is called, as the ranks compare it and messages name it."""
        return self._caller.call(operation, *details)

    def _reduction(self, op: ReduceOp, dtype: np.dtype[Any]) -> Reduction:
        reduction = self._reductions.get((op, dtype))
        if reduction is None:
            reduction = self._reductions[op, dtype] = Reduction(op, dtype, self._size)
        return reduction

    def _new_all_reduce(self, op: ReduceOp, array: Array) -> _AllReduce:
        reduction = self._reduction(op, array.dtype)
        call = self._call("all_reduce", op.name, array.dtype, array.size)
        at_once = self.transport.prepare_all_reduce(array.dtype, array.size, reduction, call.fingerprint)
        if len(self._all_reduces) >= CACHED_KINDS:
            self._all_reduces.clear()
        run, is_barred = (None, None) if at_once is None else at_once
        kind = self._all_reduces[op, array.dtype, array.size] = _AllReduce(call, reduction, run, is_barred)
        return kind


class _AllReduce(NamedTuple):
    """What all all-reduces of one operation, dtype and length have in common."""

    call: Call
    reduction: Reduction
    run_at_once: Callable[[Array, Engine, Label], None] | None
    is_barred: Callable[[Array], bool] | None
