"""A group whose arrays are on a GPU, for tests that have them in the memory of the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cupy
import numpy as np

from distrt.comm.functions.gpu import give_lane
from distrt.comm.nccl.group import GpuGroup
from distrt.comm.process_group import ProcessGroup, ReduceOp, Work
from distrt.comm.reduction import Array
from distrt.core.device import device
from distrt.core.gpu import places


class OnGpu:
    """``ProcessGroup``'s operations as `tests.conformance.cases` calls them: arrays go up, and results come down."""

    def __init__(self, group: ProcessGroup, backend: str = "cpu:gloo,cuda:nccl") -> None:
        number = group.rank() % cupy.cuda.runtime.getDeviceCount()
        cupy.cuda.Device(number).use()
        places.moved(np.empty(0, np.float32), device("cuda", number))
        give_lane(group, backend, group.timeout_s, None)
        assert group.gpu_lane is not None
        self.group, self.lane = group, group.gpu_lane.on(number)
        self.rank, self.size = group.rank, group.size
        self.allocate, self.free = group.allocate, group.free

    def all_reduce(self, array: Array, op: Any = ReduceOp.SUM, async_op: bool = False) -> Work:
        up = _up(array)
        return _down(self.group.all_reduce(up, op, async_op), async_op, [(array, up)])

    def reduce(self, array: Array, dst: int, op: Any = ReduceOp.SUM, async_op: bool = False) -> Work:
        up = _up(array)
        return _down(self.group.reduce(up, dst, op, async_op), async_op, [(array, up)])

    def broadcast(self, array: Array, src: int, async_op: bool = False) -> Work:
        up = _up(array)
        return _down(self.group.broadcast(up, src, async_op), async_op, [(array, up)])

    def all_gather(self, output: Any, array: Array, async_op: bool = False) -> Work:
        ups = _up(output) if isinstance(output, np.ndarray) else [*map(_up, output)]
        work = self.group.all_gather(ups, _up(array), async_op)
        return _down(work, async_op, list(zip(output, ups, strict=True)))

    def gather(self, output: Any, array: Array, dst: int, async_op: bool = False) -> Work:
        ups = None if output is None else _up(output)
        work = self.group.gather(ups, _up(array), dst, async_op)
        return _down(work, async_op, [] if output is None else list(zip(output, ups, strict=True)))

    def scatter(self, array: Array, inputs: Any, src: int, async_op: bool = False) -> Work:
        up = _up(array)
        work = self.group.scatter(up, None if inputs is None else _up(inputs), src, async_op)
        return _down(work, async_op, [(array, up)])

    def reduce_scatter(self, output: Array, array: Array, op: Any, async_op: bool = False) -> Work:
        up = _up(output)
        return _down(self.group.reduce_scatter(up, _up(array), op, async_op), async_op, [(output, up)])

    def all_to_all(self, outputs: Sequence[Array], inputs: Sequence[Array], async_op: bool = False) -> Work:
        ups = [*map(_up, outputs)]
        work = self.group.all_to_all(ups, [*map(_up, inputs)], async_op)
        return _down(work, async_op, list(zip(outputs, ups, strict=True)))

    def send(self, array: Array, dst: int, tag: int = 0, async_op: bool = False) -> Work:
        """Over NCCL one that returns at once: of two ranks that both send first, neither stream would go on."""
        self._connect()
        return self.group.send(_up(array), dst, tag, async_op or isinstance(self.lane, GpuGroup))

    def recv(self, array: Array, src: int | None, tag: int = 0, async_op: bool = False) -> Work:
        self._connect()
        up = _up(array)
        source = (self.rank() - 1) % self.size() if src is None else src  # NCCL has to know it
        return _down(self.group.recv(up, source, tag, async_op), async_op, [(array, up)])

    def _connect(self) -> None:
        """All send to the next one at once: a circle."""
        self.lane.connect_to({(self.rank() + step) % self.size() for step in (-1, 1)} - {self.rank()})


def _up(array: Array) -> Any:
    """The same elements on the GPU, with gaps where there are gaps."""
    if array.ndim and array.size and array.strides[-1] == 2 * array.itemsize:
        wide = cupy.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
        up = wide[..., ::2]
        up[...] = cupy.asarray(np.ascontiguousarray(array))
        return up
    return cupy.asarray(np.ascontiguousarray(array))


def _down(work: Work, async_op: bool, pairs: Sequence[tuple[Array, Any]]) -> Work:
    def bring() -> None:
        for array, up in pairs:
            array[...] = cupy.asnumpy(up)

    if not async_op:
        bring()
        return work
    return Later(work, bring)


class Later(Work):
    """A work whose results come down when it is waited for."""

    def __init__(self, work: Work, bring: Callable[[], None]) -> None:
        super().__init__()
        self._work, self._bring = work, bring

    def is_completed(self) -> bool:
        return self._work.is_completed()

    def wait(self, timeout: Any = None) -> bool:
        self._work.wait(timeout)
        self._bring()
        cupy.cuda.runtime.deviceSynchronize()  # to wait says nothing of the GPU
        return True

    def exception(self) -> BaseException | None:
        return self._work.exception()

    def add_done_callback(self, callback: Callable[[], object]) -> None:
        self._work.add_done_callback(callback)

    def source_rank(self) -> int:
        return self._work.source_rank()
