"""`GpuGroup`: the lane of a group for what is in the memory of GPUs, carried by NCCL.

The same operations as on the CPU (`distrt.comm.process_group`), but the program does not wait for them: streams do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from distrt.comm.caller import COMPLETED, Caller
from distrt.comm.calls import Call
from distrt.comm.checks import Finish
from distrt.comm.diagnosis import Diagnosis
from distrt.comm.nccl import library, settings
from distrt.comm.nccl.alone import AloneTransport, QuietChannel
from distrt.comm.nccl.channel import Channel
from distrt.comm.nccl.engine import StreamEngine
from distrt.comm.nccl.transport import NcclTransport
from distrt.comm.process_group import ProcessGroup
from distrt.comm.progress import Operation
from distrt.comm.reduction import AnyOp, Array, ReduceOp
from distrt.comm.transport import Transport
from distrt.comm.work import Work
from distrt.core.errors import DistributedError
from distrt.core.process import activity
from distrt.core.process.determinism import are_deterministic_algorithms_enabled

__all__ = ["GpuGroup"]

_ID_BYTES = 128
_TAG = int.from_bytes(b"nccl", "little")  # of the messages by which two ranks agree on a channel


class GpuGroup(ProcessGroup):
    """One rank, one GPU: that of the first array.

    Args:
        control: the group whose lane it is, which carries what is in the memory of the CPU.
        device: the number of the GPU.
        timeout_s: how long an operation may take.
        compares: have the ranks compare each call before it is queued, which makes the program wait.

    Raises:
        DeviceMissing: there are other ranks, and no NCCL.
    """

    def __init__(self, control: ProcessGroup, device: int, timeout_s: float, compares: bool = False) -> None:
        rank, size = control.rank(), control.size()
        if size > 1:
            library.require()
        self._control, self.device, self._compares = control, device, compares
        self._settings = settings.read()
        others = [other for other in range(size) if other != rank]
        self._timeout_s = timeout_s
        self._channel = self._channel_of(rank, size, others, self._meet)
        self._pairs: dict[int, tuple[Channel, Channel]] = {}
        kind = NcclTransport if size > 1 else AloneTransport
        transport = kind(self._channel, self._pair, control.transport, are_deterministic_algorithms_enabled)
        name = f"{control.group_name} on GPUs"
        super().__init__(transport, timeout_s, name, control.ranks, "nccl")

    def _caller_of(self, transport: Transport, timeout_s: float, name: str) -> Caller:
        compare = self._control.barrier if self._compares else None
        return StreamCaller(transport, timeout_s, name, self._settings, compare)

    def lane_of(self, array: Array) -> ProcessGroup:
        """This one: `distrt.comm.lanes` has looked where the array is."""
        return self

    def connect(self) -> None:
        """Have the ranks find one another before the first operation; all of them call."""
        self._channel.open()

    def set_timeout(self, timeout_s: float) -> None:
        """How long all later operations may take."""
        self.timeout_s = self._stream_engine.timeout_s = timeout_s

    def all_reduce(
        self,
        array: Array,
        op: AnyOp = ReduceOp.SUM,
        async_op: bool = False,
        deterministic: bool = False,
    ) -> Work:
        """Replace ``array`` on every rank by the combination of all ranks' arrays; same bits on all ranks.

        In the order that NCCL finds best, which may differ from run to run where channels or machines do;
        ``deterministic`` asks for the order of all other transports.
        """
        transport = self._transport
        reduce = transport.all_reduce_in_order if deterministic else transport.all_reduce
        return self._all_reduce_by(reduce, array, op, async_op)

    def allocate(self, shape: int | tuple[int, ...], dtype: Any, copies: int | None = None) -> Array:
        """Zeros on the GPU; no rank waits for another."""
        from distrt.core.gpu.places import of_number, prototype

        return np.zeros(shape, dtype, like=prototype(of_number(self.device)))

    def free(self, array: Array) -> None:
        """Nothing to do: it goes with its last view."""

    def drain(self) -> None:
        """Return when this rank's GPU has done all that the group gave it.

        Raises:
            DistributedError: something of that failed.
        """
        self._stream_engine.drain()

    def abort(self) -> None:
        """Leave at once: what the GPU has not done stays undone."""
        self._stream_engine.give_up(DistributedError(self.label("the group was aborted", "abort")))

    @property
    def _transport(self) -> NcclTransport:
        transport = self.transport
        assert isinstance(transport, NcclTransport), "the constructor makes it"
        return transport

    @property
    def _stream_engine(self) -> StreamEngine:
        engine = self._caller.engine
        assert isinstance(engine, StreamEngine), "StreamCaller makes it"
        return engine

    # How ranks find one another.

    def _channel_of(
        self, rank: int, size: int, peers: list[int], meet: Callable[[bytes | None], bytes]
    ) -> Channel:
        gone = self._control.transport.gone
        priority = self._settings.high_priority
        kind = Channel if size > 1 else QuietChannel
        return kind(rank, size, peers, self.device, meet, priority, self._timeout_s, gone)

    def _meet(self, unique: bytes | None) -> bytes:
        data = np.zeros(_ID_BYTES, np.uint8)
        if unique is not None:
            data[:] = np.frombuffer(unique, np.uint8)
        self._control.broadcast(data, src=0)
        return data.tobytes()

    def _pair(self, other: int) -> tuple[Channel, Channel]:
        """The channels of messages to and from another rank; both ranks come here with their first one."""
        if other not in self._pairs:
            ours = self._rank, other
            to, back = (
                self._channel_of(
                    int(ours[0] != sender), 2, [other], self._meet_other(other, is_sender=ours[0] == sender)
                )
                for sender in ours
            )
            for each in (to, back) if self._rank < other else (back, to):  # in one order on both sides
                each.open()
            self._pairs[other] = to, back
        return self._pairs[other]

    def connect_to(self, others: Iterable[int]) -> None:
        """Open the channels to several ranks: in an order that all ranks follow, so that none waits in a circle."""
        for other in sorted({*others}, key=lambda other: sorted((self._rank, other))):
            self._pair(other)

    def _meet_other(self, other: int, is_sender: bool) -> Callable[[bytes | None], bytes]:
        def meet(unique: bytes | None) -> bytes:
            data = np.zeros(_ID_BYTES, np.uint8)
            if is_sender and unique is not None:
                data[:] = np.frombuffer(unique, np.uint8)
                self._control.send(data, other, _TAG)
            else:
                self._control.recv(data, other, _TAG)
            return data.tobytes()

        return meet


class StreamCaller(Caller):
    """As `Caller`, for a GPU's stream.

    Args:
        transport, timeout_s, name: as ever.
        given: what users set.
        compare: has all ranks meet for the same call, on the CPU; None where they shall not.
    """

    def __init__(
        self,
        transport: Transport,
        timeout_s: float,
        name: str,
        given: settings.Settings,
        compare: Callable[..., Work] | None,
    ) -> None:
        self._settings, self._compare = given, compare
        super().__init__(transport, timeout_s, name)

    def _engine_of(self, transport: Transport, timeout_s: float, diagnosis: Diagnosis) -> Any:
        return StreamEngine(transport, diagnosis, self.label, timeout_s, self._settings)

    def require_open(self, operation: str) -> None:
        """As ever; the first call after a failure that nobody waited for raises that."""
        if self.closed_because is None and not self.engine.was_told:
            self.engine.raise_failure()
        super().require_open(operation)

    def run(
        self,
        call: Call,
        operation: Operation,
        async_op: bool,
        finish: Finish | None = None,
        is_numbered: bool = True,
    ) -> Work:
        """Queue an operation. The caller's stream waits for it, unless with ``async_op`` it is to do so later."""
        if self._compare is not None and is_numbered:
            self._compare(what=call.text)
        entry = self.begin(call, is_numbered)
        number = self.sequence if is_numbered else 0
        transfer = self._told(call, number, async_op)
        group, page = self._group, self.page

        def ended() -> None:
            if page is not None:
                page.end_late(entry, group, number)
            if transfer is not None:
                activity.ended(transfer)

        work: Work = self.engine.start(operation, (call.operation, number), finish, ended)
        if async_op:
            return work
        work.wait()
        return COMPLETED if is_numbered else work
