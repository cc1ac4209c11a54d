"""What MPI moves, and GPUs add up: every operation, in the streams' order, and without a copy to the CPU."""

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
from distrt.comm.machines import reduce
from distrt.comm.mpi import gpu_memory
from distrt.comm.mpi.lane import MpiLane
from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.comm.reduction import PremulSum
from distrt.comm.tree import TreeReduction
from distrt.core.errors import CollectiveMismatch, DeviceError, DistributedError, ShapeError
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.gpu.checking import assert_refused
from tests.gpu.checks.on_gpu import OnGpu
from tests.gpu.fixtures import NOT_THERE

IS_FAKE = hasattr(cupy.cuda, "traffic")
PIECE_BYTES = 8 << 10


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


def collectives(group: ProcessGroup, lane: OnGpu, seed: str, amount: str, kind: str = "") -> None:
    """Every operation in every dtype and layout; nothing is staged. ``kind`` "pieces": large arrays are cut small."""
    if kind == "pieces":
        _cut_small()
    staged, digests = Staged(), {}
    for name in COLLECTIVES:
        digests[name] = run_all(lane, sample(name, int(seed), int(amount)))
        assert not staged.count, f"{name}: {staged.count} arrays were staged"
    print(digests)


def _cut_small() -> None:
    reduce._CHUNK_BYTES, reduce._SMALL_BYTES = PIECE_BYTES, 1 << 10


def memory(group: ProcessGroup, lane: OnGpu) -> None:
    """A reduction of a large array takes the memory of a few pieces of it."""
    _cut_small()
    pool, most = cupy.get_default_memory_pool(), 0
    array, size = cupy.ones(12 * group.size() * PIECE_BYTES, np.float16), group.size()
    row = cupy.empty(array.size // size, np.float16)

    class Watch(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "Watch"

        def malloc_postprocess(self, **_: Any) -> None:
            nonlocal most
            most = max(most, pool.used_bytes())

    before = most = pool.used_bytes()
    with Watch():
        group.all_reduce(array)
        group.reduce(array, 1)
        group.reduce_scatter(row, array.reshape(size, -1))
    assert before < most <= before + 10 * PIECE_BYTES, (most - before) / PIECE_BYTES
    assert array[0].item() == size ** (2 if group.rank() == 1 else 1)


def replaced(group: ProcessGroup, lane: OnGpu) -> None:
    """A result may lie anywhere in what is reduced, which is sent in pieces."""
    _cut_small()
    rank, size, count = group.rank(), group.size(), 2 * PIECE_BYTES + 5
    rows = cupy.arange(size * count, dtype=np.float32)
    for start in (rank * count, (rank + 1) % size * count, 7):
        array = rows.copy()
        group.reduce_scatter(array[start : start + count], array.reshape(size, count))
        expected = size * np.arange(rank * count, (rank + 1) * count, dtype=np.float32)
        assert np.array_equal(array[start : start + count].get(), expected), start


def late_sums(group: ProcessGroup, lane: OnGpu) -> None:
    """What the GPU adds up late is sent when it is there, in pieces and whole."""
    _cut_small()
    total, size = TreeReduction.total, group.size()

    def late(tree: TreeReduction, terms: Any, out: Any) -> None:
        _later(lambda: total(tree, [term._host for term in terms], out._host))

    if IS_FAKE:  # which computes everything else at once
        TreeReduction.total = late  # type: ignore[method-assign]
    for count in (30, 2 * PIECE_BYTES // 4 + 7):
        array = cupy.arange(count, dtype=np.float32)
        rows = cupy.concatenate([array + row for row in range(size)]).reshape(size, -1)
        row = cupy.empty(count, np.float32)
        for is_async in (False, True):
            whole, at_one = array.copy(), array + 1
            works = [
                group.all_reduce(whole, async_op=is_async),
                group.reduce(at_one, 1, async_op=is_async),
                group.reduce_scatter(row, rows, async_op=is_async),
            ]
            for work in works:
                work.wait()
            numbers = np.arange(count, dtype=np.float32)
            assert np.array_equal(whole.get(), size * numbers)
            assert np.array_equal(at_one.get(), (numbers + 1) * (size if group.rank() == 1 else 1))
            assert np.array_equal(row.get(), size * (numbers + group.rank()))
            factor = PremulSum(cupy.full((), group.rank() + 1.0, np.float32))
            work = group.all_reduce(row, factor, async_op=is_async)
            work.wait()
            per_rank = [(rank + 1) * size * (numbers + rank) for rank in range(size)]
            assert np.array_equal(row.get(), sum(per_rank))


def _later(work: Callable[[], object]) -> None:
    """Queue what takes a while, and then ``work``, which is done by the CPU."""

    def run(_: object) -> None:
        time.sleep(0.01)
        work()

    cupy.cuda.get_current_stream().launch_host_func(run, None)


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
    large = cupy.ones(3_000_000, np.float16)  # of which pieces are under way while others are added up
    work = group.all_reduce(large, async_op=True)
    group.all_reduce(gaps, ReduceOp.MAX)
    gaps /= size
    work.wait()
    for op in (ReduceOp.AVG, PremulSum(1.0), PremulSum(cupy.ones((), np.float32))):
        group.all_reduce(one[0], op, deterministic=True)
        group.reduce(one[0], 1, op)
    group.reduce(large, 0)
    group.reduce_scatter(out[0], one)
    group.reduce_scatter(large[: large.size // size], large[: large.size // size * size].reshape(size, -1))
    for turn in (0, 1):
        if rank == turn:
            group.send(one, 1 - turn)
            group.send(gaps, 1 - turn)
        elif rank == 1 - turn:
            group.recv(one, turn)
            group.recv(gaps, turn)
    if traffic is not None:
        assert (traffic.to_host, traffic.to_device) == (0, 0), (traffic.to_host, traffic.to_device)
    assert gaps.get().tolist() == [[1.0 / size] * 30] * size


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
                _fill_late(array, 9)
            work = group.all_reduce(array, async_op=is_async)
            work.wait()
            assert array.get().tolist() == [9.0 + 7.0 * (group.size() - 1)] * size
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


def mismatch(group: ProcessGroup, lane: OnGpu, operation: str) -> None:
    """One rank's tensor is on the CPU."""
    group.broadcast(cupy.ones(4, np.float32), 0)
    array = np.ones(4, np.float32) if group.rank() else cupy.ones(4, np.float32)
    kind = "from rank 0" if operation == "broadcast" else "SUM"
    try:
        getattr(group, operation)(array, *([0] if operation == "broadcast" else []))
        group.barrier()
    except CollectiveMismatch as error:
        assert f"{operation}({kind}, float32, 4 elements, on GPUs)" in str(error), error
        assert f"rank 1: {operation}({kind}, float32, 4 elements) at" in str(error), error
        return
    raise AssertionError("nothing was said")


def death(group: ProcessGroup, lane: OnGpu, operation: str) -> None:
    """A rank dies."""
    _lost(group, operation, lambda: os.kill(os.getpid(), signal.SIGKILL))


def lateness(group: ProcessGroup, lane: OnGpu, operation: str) -> None:
    """A rank does not come in time."""
    group.timeout_s = group._engine.timeout_s = 3.0
    _lost(group, operation, lambda: time.sleep(6))


def _lost(group: ProcessGroup, operation: str, fault: Callable[[], object]) -> None:
    one = cupy.ones(400_000, np.float32)
    group.broadcast(one, 0)
    if group.rank() == 1:
        fault()
        return
    began = time.monotonic()
    try:
        if operation == "all_reduce":
            group.all_reduce(one)
        else:
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
