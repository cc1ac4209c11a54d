"""`NcclTransport`: each operation as what is asked of NCCL. The arrays lie in the memory of one GPU.

The steps of an operation (`Operation.steps`) queue it and are over: `distrt.comm.nccl.engine` runs them with the
channel's stream as the current one, which waits for the caller's before and is waited for after.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from distrt.comm.nccl import library
from distrt.comm.nccl.channel import Channel
from distrt.comm.nccl.reductions import Plan, code_of, plan
from distrt.comm.nccl.witness import Witness
from distrt.comm.progress import Operation, Steps
from distrt.comm.reduction import Array, Reduction
from distrt.comm.transport import Transport
from distrt.comm.tree import Placement, Trees
from distrt.core.arrays import address_of
from distrt.core.errors import DistributedError, UnsupportedError

__all__ = ["NcclTransport"]

#: Gives the channels of messages to and from another rank: (to, from).
Pair = Callable[[int], tuple[Channel, Channel]]


class NcclTransport(Witness, Transport):
    """The ranks of a group, each with a GPU.

    Reductions are NCCL's, in the order of its rings and trees; with ``is_deterministic`` they are exchanged, combined
    in the order of all other transports, and gathered: the same bytes on the wire, and the same bits in every run.

    Args:
        channel: of all ranks.
        pair: see `Pair`.
        control: what connects the same ranks on the CPU.
        is_deterministic: whether a reduction must have the same bits whatever the number of channels and machines.
    """

    kind = "nccl"

    def __init__(
        self, channel: Channel, pair: Pair, control: Transport, is_deterministic: Callable[[], bool]
    ) -> None:
        Transport.__init__(self, channel.rank, channel.size)
        Witness.__init__(self, control)
        self.channel = channel
        self._pair = pair
        self.is_deterministic = is_deterministic
        self._trees = Trees(Placement(range(self.size)))

    # Reductions.

    def all_reduce(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """NCCL's own, or in order."""
        how = self._plan(reduction, flat)
        return self._operation(partial(self._all_reduce, flat, reduction, how))

    def all_reduce_in_order(self, flat: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """In order, always."""
        return self._operation(partial(self._all_reduce, flat, reduction, None))

    def _all_reduce(self, flat: Array, reduction: Reduction, how: Plan | None) -> object:
        if how is None:
            return self._exchange(flat, flat, reduction)
        inner = how.enter(flat)
        where = address_of(inner)
        self._nccl.allReduce(where, where, inner.size, *self._codes(inner, how), self._stream)
        how.leave(inner, flat)
        return inner

    def reduce(self, flat: Array, dst: int, reduction: Reduction, fingerprint: int) -> Operation:
        """NCCL's own, or in order."""
        how = self._plan(reduction, flat)

        def work() -> object:
            if how is None:
                target = flat if self.rank == dst else np.empty_like(flat)
                return self._exchange(flat, target, reduction)
            inner = how.enter(flat)
            where = address_of(inner)
            self._nccl.reduce(where, where, inner.size, *self._codes(inner, how), dst, self._stream)
            if self.rank == dst:
                how.leave(inner, flat)
            return inner

        return self._operation(work)

    def reduce_scatter(self, flat: Array, rows: Array, reduction: Reduction, fingerprint: int) -> Operation:
        """NCCL's own, or in order."""
        how = self._plan(reduction, flat)

        def work() -> None:
            if how is None:
                flat[...] = self._combined_row(rows, reduction)
                return
            inner = how.enter(rows.reshape(-1))
            out = how.enter(flat)
            self._nccl.reduceScatter(
                address_of(inner), address_of(out), out.size, *self._codes(inner, how), self._stream
            )
            how.leave(out, flat)

        return self._operation(work)

    def _plan(self, reduction: Reduction, flat: Array) -> Plan | None:
        return None if self.is_deterministic() else plan(reduction.op, flat.dtype)

    def _exchange(self, flat: Array, target: Array, reduction: Reduction) -> object:
        """Each rank combines a slice of all ranks' arrays, and gives it to all; what the GPU needs until then."""
        if not flat.size:
            return None
        length = -(-flat.size // self.size)
        padded = np.zeros(length * self.size, flat.dtype, like=flat)
        padded[: flat.size] = flat
        mine = self._combined_row(padded.reshape(self.size, length), reduction)
        self._nccl.allGather(address_of(mine), address_of(padded), mine.nbytes, self._byte, self._stream)
        target[...] = padded[: flat.size]
        return mine, padded

    def _combined_row(self, rows: Array, reduction: Reduction) -> Array:
        incoming = np.empty_like(rows)
        self._swap(list(incoming), list(rows))
        total: Array = np.empty_like(rows[0])
        self._trees.of(reduction, rows.dtype).total(list(incoming), total)
        return total

    # What only moves: as bytes, whatever the dtype.

    def broadcast(self, flat: Array, src: int, fingerprint: int) -> Operation:
        """NCCL's own."""

        def work() -> None:
            where = address_of(flat)
            self._nccl.broadcast(where, where, flat.nbytes, self._byte, src, self._stream)

        return self._operation(work)

    def all_gather(self, outputs: Sequence[Array], flat: Array, fingerprint: int) -> Operation:
        """NCCL's own where all lengths are one; else a broadcast from each rank, in one go."""

        def work() -> None:
            if len({each.size for each in outputs}) > 1:
                with self._together():
                    for src, each in enumerate(outputs):
                        sent = flat if src == self.rank else each
                        self._nccl.broadcast(
                            address_of(sent), address_of(each), each.nbytes, self._byte, src, self._stream
                        )
                return
            place = _row_after_row(outputs)
            whole = None if place is not None else np.empty((self.size, flat.size), flat.dtype, like=flat)
            target = place if whole is None else address_of(whole)
            self._nccl.allGather(address_of(flat), target, flat.nbytes, self._byte, self._stream)
            if whole is not None:
                for each, row in zip(outputs, whole, strict=True):
                    each[...] = row

        return self._operation(work)

    def gather(self, outputs: Sequence[Array] | None, flat: Array, dst: int, fingerprint: int) -> Operation:
        """Messages to one rank, in one go."""

        def work() -> None:
            if self.rank != dst:
                self._send(flat, dst)
                return
            assert outputs is not None, "ProcessGroup asks for them"
            outputs[dst][...] = flat
            with self._together():
                for src, each in enumerate(outputs):
                    if src != dst:
                        self._recv(each, src)

        return self._operation(work)

    def scatter(self, flat: Array, inputs: Sequence[Array] | None, src: int, fingerprint: int) -> Operation:
        """Messages from one rank, in one go."""

        def work() -> None:
            if self.rank != src:
                self._recv(flat, src)
                return
            assert inputs is not None, "ProcessGroup asks for them"
            flat[...] = inputs[src]
            with self._together():
                for dst, each in enumerate(inputs):
                    if dst != src:
                        self._send(each, dst)

        return self._operation(work)

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], fingerprint: int) -> Operation:
        """Messages between all, in one go. NCCL does not compare lengths: see docs/gpu.md."""
        return self._operation(partial(self._swap, outputs, inputs))

    def _swap(self, outputs: Sequence[Array], inputs: Sequence[Array]) -> None:
        outputs[self.rank][...] = inputs[self.rank]
        with self._together():
            for other in range(self.size):
                if other != self.rank:
                    self._send(inputs[other], other)
                    self._recv(outputs[other], other)

    # Messages: each direction has a channel, so that neither waits for the other.

    def send(self, flat: Array, dst: int, tag: int) -> Operation:
        """NCCL's own, which knows no tags: messages arrive in the order in which they are received."""
        channel, _ = self._pair(dst)

        def work() -> None:
            self._send(flat, 1, channel)

        return self._operation(work, channel)

    def recv(self, flat: Array, src: int | None, tag: int) -> Operation:
        """NCCL's own, which must know from whom.

        Raises:
            UnsupportedError: ``src`` is None.
        """
        if src is None:
            raise UnsupportedError(
                "ProcessGroupNCCL does not support recvAnysource: name the rank that the message comes from"
            )
        _, channel = self._pair(src)

        def work() -> int:
            self._recv(flat, 0, channel)
            return src

        return self._operation(work, channel)

    def barrier(self, fingerprint: int) -> Operation:
        """A sum of nothing much; over when every rank's stream has come."""
        one = np.zeros(1, np.uint8, like=self._like())

        def work() -> None:
            self._nccl.allReduce(
                address_of(one), address_of(one), 1, self._byte, library.require().NCCL_SUM, self._stream
            )

        return self._operation(work)

    # Memory, and the group's life: `GpuGroup` has arrays of its own, and makes subgroups through the CPU's.

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """An ordinary array."""
        return self._operation(lambda: np.zeros(shape, dtype, like=self._like()))

    def allocate_one(self, shape: tuple[int, ...], dtype: np.dtype[Any], fingerprint: int) -> Operation:
        """There is no memory that GPUs have in common.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError("one copy for all ranks of a machine: GPUs do not share memory")

    def free(self, array: Array, fingerprint: int) -> Operation:
        """Nothing to do."""
        return self._operation(lambda: None)

    def renew(self, array: Array) -> Array:
        """A copy."""
        return array.copy()

    def subgroup(self, ranks: Sequence[int], name: str, timeout_s: float) -> Transport:
        """Made through the CPU's transport, whose group makes its lane for GPUs when it is asked.

        Raises:
            DistributedError: always.
        """
        raise DistributedError("the lane of a group for GPUs is not divided: divide the group")

    def close(self) -> None:
        """The engine closes the channels."""

    # Asking NCCL.

    def _operation(self, work: Callable[[], Any], channel: Channel | None = None) -> Operation:
        def steps() -> Steps:
            yield work()  # suspended, they hold the arrays until the GPU is done, and so is what they yield

        return Operation(steps(), self.channel if channel is None else channel)

    @property
    def _nccl(self) -> Any:
        return self.channel.communicator

    @property
    def _stream(self) -> int:
        return int(self.channel.stream.ptr)

    @property
    def _byte(self) -> int:
        return int(library.require().NCCL_UINT8)

    def _codes(self, inner: Array, how: Plan) -> tuple[int, int]:
        nccl = library.require()
        return code_of(nccl, inner.dtype), int(getattr(nccl, how.op))

    def _send(self, array: Array, to: int, channel: Channel | None = None) -> None:
        chosen = self.channel if channel is None else channel
        if array.nbytes:
            chosen.communicator.send(address_of(array), array.nbytes, self._byte, to, int(chosen.stream.ptr))

    def _recv(self, array: Array, source: int, channel: Channel | None = None) -> None:
        chosen = self.channel if channel is None else channel
        if array.nbytes:
            chosen.communicator.recv(
                address_of(array), array.nbytes, self._byte, source, int(chosen.stream.ptr)
            )

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        nccl = library.require()
        nccl.groupStart()
        try:
            yield
        finally:
            nccl.groupEnd()

    def _like(self) -> Array:
        from distrt.core.gpu.places import of_number, prototype

        array: Array = prototype(of_number(self.channel.device))
        return array


def _row_after_row(arrays: Sequence[Array]) -> int | None:
    """Where arrays of one length lie one behind the other; None where they do not."""
    first, nbytes = address_of(arrays[0]), arrays[0].nbytes
    are = all(address_of(each) == first + place * nbytes for place, each in enumerate(arrays))
    return first if are else None
