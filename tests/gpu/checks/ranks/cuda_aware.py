"""What MPI moves from GPU to GPU: every operation, in the streams' order, and without a copy to the CPU."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np

from distrt.comm import through_host
from distrt.comm.mpi import gpu_memory
from distrt.comm.mpi.lane import MpiLane
from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import CollectiveMismatch, DeviceError, DistributedError, ShapeError
from tests.conformance.cases import COLLECTIVES, REDUCING, run_all, sample
from tests.gpu.checking import assert_refused
from tests.gpu.checks.on_gpu import OnGpu
from tests.gpu.fixtures import NOT_THERE

IS_FAKE = hasattr(cupy.cuda, "traffic")


def before(what: str) -> None:
    """Before the ranks meet. On the fake, MPI is told where the memory of a GPU is in truth, which is all it needs.

    Without that it ends by SIGSEGV, as one that is not CUDA-aware does on hardware.
    """
    if IS_FAKE:
        gpu_memory.address_of = lambda array: array._host.__array_interface__["data"][0]
    if what == "disagreeing":
        os.environ["DISTRT_MPI_CUDA"] = str(int(os.environ["DISTRT_RANK"] != "1"))


def main(group: ProcessGroup, what: str, *arguments: str) -> None:
    """Prints "right" or what was found, or raises."""
    lane = OnGpu(group, "mpi")
    if what != "disagreeing" and not isinstance(lane.lane, MpiLane):
        group.close()
        sys.exit(NOT_THERE)
    globals()[what](group, lane, *arguments)
    print("right")
    group.close()


class Staged:
    """How often arrays got memory of the CPU's."""

    def __init__(self) -> None:
        self.count = 0
        like: Callable[[Any], Any] = through_host._like

        def counted(array: Any) -> Any:
            self.count += 1
            return like(array)

        through_host._like = counted


def collectives(group: ProcessGroup, lane: OnGpu, seed: str, amount: str) -> None:
    """Every operation in every dtype and layout; what computes nothing is never staged."""
    staged, digests = Staged(), {}
    for name in COLLECTIVES:
        digests[name] = run_all(lane, sample(name, int(seed), int(amount)))
        assert (staged.count > 0) == (name in REDUCING), f"{name}: {staged.count} arrays were staged"
        staged.count = 0
    print(digests)


def nothing_crosses(group: ProcessGroup, lane: OnGpu) -> None:
    """The fake counts bytes that are copied between a GPU and the CPU: there are none."""
    rank, size = group.rank(), group.size()
    one = cupy.full((size, 3000), rank, np.float32)
    out = cupy.empty_like(one)
    gaps = cupy.full((size, 60), rank, np.float32)[:, ::2]
    traffic = cupy.cuda.traffic if IS_FAKE else None
    if traffic is not None:
        traffic.to_host = traffic.to_device = 0
    work = group.broadcast(one, 0, async_op=True)
    group.broadcast(gaps, 1)
    work.wait()
    group.all_gather(out, one[0])
    group.gather(out if rank == 0 else None, one[0], 0)
    group.scatter(one[1], out if rank == 1 else None, 1)
    group.all_to_all(list(out), list(one))
    for turn in (0, 1):
        if rank == turn:
            group.send(one, 1 - turn)
            group.send(gaps, 1 - turn)
        elif rank == 1 - turn:
            group.recv(one, turn)
            group.recv(gaps, turn)
    if traffic is not None:
        assert (traffic.to_host, traffic.to_device) == (0, 0), (traffic.to_host, traffic.to_device)
    assert gaps.get().tolist() == [[1.0] * 30] * size


def order(group: ProcessGroup, lane: OnGpu) -> None:
    """MPI reads what the GPU has yet to write, and writes what it has yet to read, when that is over."""
    rank = group.rank()
    for size in (40, 400_000):  # copied by `send`, and not
        for is_async in (False, True):
            array = cupy.zeros(size, np.float32)
            if rank == 0:
                _fill_late(array, 7)
            work = group.broadcast(array, 0, async_op=is_async)
            if is_async:
                assert rank or not work.is_completed()
                work.wait()
            assert array.get().tolist() == [7.0] * size
            if rank == 0:
                _fill_late(array, 8)
                work = group.send(array, 1, async_op=is_async)
                work.wait()
            elif rank == 1:
                later = cupy.zeros(size, np.float32)
                read = _read_late(later)  # before what comes
                group.recv(later, 0, async_op=is_async).wait()
                assert later.get().tolist() == [8.0] * size
                assert read().tolist() == [0.0] * size


def _fill_late(array: Any, value: float) -> None:
    """Queue what takes a while, and then fills an array."""
    stream = cupy.cuda.get_current_stream()
    if IS_FAKE:  # which computes everything else at once

        def fill(_: object) -> None:
            time.sleep(0.2)
            array._host[...] = value

        stream.launch_host_func(fill, None)
    else:
        stream.launch_host_func(lambda _: time.sleep(0.2), None)
        array.fill(value)


def _read_late(array: Any) -> Callable[[], Any]:
    """Queue what takes a while, and then copies an array."""
    stream = cupy.cuda.get_current_stream()
    if IS_FAKE:
        kept = []

        def read(_: object) -> None:
            time.sleep(0.2)
            kept.append(array._host.copy())

        stream.launch_host_func(read, None)
        return lambda: kept[0]
    stream.launch_host_func(lambda _: time.sleep(0.2), None)
    copy = array.copy()
    return copy.get


def messages(group: ProcessGroup, lane: OnGpu) -> None:
    """From any rank, between GPU and CPU, in the order of the calls; short ones wait for no receiver."""
    rank, other = group.rank(), 1 - group.rank()
    one, host = cupy.full(120_000, rank + 1, np.int16), np.full(120_000, rank + 1, np.int16)
    if rank == 0:
        time.sleep(0.3)  # it is sent before anybody takes it
        group.recv(one, None, tag=3)
        assert one.get().tolist() == [2] * 120_000
        _read_late(one)  # so that it may not be written to at once, and yet gets the first message
        works = [group.recv(each, 1, async_op=True) for each in (one, host)]
        assert [work.wait() and work.source_rank() for work in works] == [1, 1]
        assert (one.get().tolist(), host.tolist()) == ([5] * 120_000, [6] * 120_000)
        group.send(host, other, tag=1)
        for tag in (7, 8):
            assert_refused(
                ShapeError,
                "sent 120000 elements of int16",
                lambda tag=tag: group.recv(cupy.empty(119_999, np.int16), other, tag),
            )
    else:
        group.send(one, other, tag=3)
        one.fill(5)
        group.send(one, other)
        one.fill(6)  # the message has left
        group.send(one, other)
        group.recv(one, other, tag=1)
        assert one.get().tolist() == [6] * 120_000
        group.send(one, other, tag=7)
        group.send(host, other, tag=8)
    group.barrier()


def refusals(group: ProcessGroup, lane: OnGpu) -> None:
    """What cannot be is said before anything is sent, and the group goes on; lengths that differ are told."""
    one, size = cupy.ones(4, np.float32), group.size()
    on_the_cpu, short = [np.empty(4, np.float32)] * size, [cupy.empty(3, np.float32)] * size
    assert_refused(DeviceError, "on one device", lambda: group.all_gather(on_the_cpu, one))
    assert_refused(DistributedError, f"src {size + 3} is not a rank", lambda: group.broadcast(one, size + 3))
    assert_refused(ShapeError, "sends 16 bytes", lambda: group.all_to_all(short, [one] * size))
    group.all_reduce(one)
    assert one.get().tolist() == [float(size)] * 4


def mismatch(group: ProcessGroup, lane: OnGpu) -> None:
    """One rank's tensor is on the CPU."""
    group.broadcast(cupy.ones(4, np.float32), 0)
    array = np.ones(4, np.float32) if group.rank() else cupy.ones(4, np.float32)
    try:
        group.broadcast(array, 0)
        group.barrier()
    except CollectiveMismatch as error:
        assert "broadcast(from rank 0, float32, 4 elements, on GPUs)" in str(error), error
        assert "rank 1: broadcast(from rank 0, float32, 4 elements) at" in str(error), error
        return
    raise AssertionError("nothing was said")


def death(group: ProcessGroup, lane: OnGpu) -> None:
    """A rank dies."""
    _lost(group, lambda: os.kill(os.getpid(), signal.SIGKILL))


def lateness(group: ProcessGroup, lane: OnGpu) -> None:
    """A rank does not come in time."""
    group.timeout_s = group._engine.timeout_s = 3.0
    _lost(group, lambda: time.sleep(6))


def _lost(group: ProcessGroup, fault: Callable[[], object]) -> None:
    one = cupy.ones(400_000, np.float32)
    group.broadcast(one, 0)
    if group.rank() == 1:
        fault()
        return
    began = time.monotonic()
    try:
        group.all_gather(cupy.empty((group.size(), 400_000), np.float32), one)
    except DistributedError as error:
        print(f"{time.monotonic() - began:.1f}", type(error).__name__, error)
    else:
        raise AssertionError("nothing was said")


def disagreeing(group: ProcessGroup, lane: OnGpu) -> None:
    """One rank's MPI does not take the memory of GPUs: none is given it."""
    assert not isinstance(lane.lane, MpiLane)
    staged = Staged()
    one = cupy.full(4, group.rank(), np.float32)
    group.broadcast(one, 1)
    assert one.get().tolist() == [1.0] * 4
    assert staged.count
