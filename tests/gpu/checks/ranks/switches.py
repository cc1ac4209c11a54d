"""What users can switch, and what a group refuses, rank by rank."""

from __future__ import annotations

import os
import signal
import time

import cupy
import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import (
    CollectiveMismatch,
    CollectiveTimeout,
    DeviceError,
    DistributedError,
    UnsupportedError,
)
from tests.gpu.checking import assert_refused
from tests.gpu.checks.on_gpu import OnGpu


def main(group: ProcessGroup, what: str) -> None:
    """Prints "right", or raises."""
    rank, other = group.rank(), 1 - group.rank()
    if what == "detail":
        os.environ["TORCH_DISTRIBUTED_DEBUG"] = "DETAIL"
    if what == "blocking":
        os.environ["TORCH_NCCL_BLOCKING_WAIT"] = "1"
    OnGpu(group)
    globals()[what](group, rank, other)
    print("right")


def detail(group: ProcessGroup, rank: int, other: int) -> None:
    """Calls that differ are found before they reach the GPU, whose group stays whole."""
    array = cupy.full(3 + rank, 7, np.float32)
    words = "all_reduce(SUM, float32, 3 elements)"
    assert_refused(CollectiveMismatch, words, lambda: group.all_reduce(array))
    assert array.get().tolist() == [7.0] * (3 + rank)


def blocking(group: ProcessGroup, rank: int, other: int) -> None:
    """``wait()`` returns when the GPU is done."""
    work = group.all_reduce(cupy.ones(4), async_op=True)
    work.wait()
    assert work.is_completed()
    assert work.is_success()
    group.close()


def refusals(group: ProcessGroup, rank: int, other: int) -> None:
    """What cannot be is said before anything is queued, and the group goes on."""
    one = cupy.ones(4, np.float32)
    on_the_cpu = [np.empty(4, np.float32)] * 2
    assert_refused(UnsupportedError, "recvAnysource", lambda: group.recv(one, None))
    assert_refused(DeviceError, "must be on one device", lambda: group.all_gather(on_the_cpu, one))
    assert_refused(DistributedError, "src 5 is not a rank", lambda: group.broadcast(one, 5))
    if cupy.cuda.runtime.getDeviceCount() > 1:
        with cupy.cuda.Device(other):
            elsewhere = cupy.ones(4, np.float32)
        assert_refused(DeviceError, "one rank drives one GPU", lambda: group.all_reduce(elsewhere))
    work = group.all_reduce(one, async_op=True)
    assert work.get_future().then(lambda future: 5).wait() == 5
    assert one.get().tolist() == [2.0] * 4
    group.close()


def aborting(group: ProcessGroup, rank: int, other: int) -> None:
    """Leaves what will never be over, at once."""
    group.all_reduce(cupy.ones(4))
    group.barrier()
    began = time.monotonic()
    if rank == 0:
        work = group.all_reduce(cupy.ones(4), async_op=True)  # rank 1 never comes
        assert group.gpu_lane is not None
        group.gpu_lane.abort()
        assert_refused(DistributedError, "the group was aborted", work.wait)
    group.close()
    assert time.monotonic() - began < 5


def waiting(group: ProcessGroup, rank: int, other: int) -> None:
    """A time-out of one wait; the operation goes on."""
    array = cupy.ones(4, np.float32)
    group.all_reduce(cupy.ones(1))
    group.barrier()
    if rank == 1:
        time.sleep(1.5)
    work = group.all_reduce(array, async_op=True)
    if rank == 0:
        assert_refused(CollectiveTimeout, "after 0.3 s", lambda: work.wait(0.3))
    work.wait()
    assert array.get().tolist() == [2.0] * 4
    group.barrier()
    group.close()


def unasked(group: ProcessGroup, rank: int, other: int) -> None:
    """A rank whose operation fails while its program goes on for good is ended."""
    group.all_reduce(cupy.ones(4))
    group.barrier()
    if rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    group.all_reduce(cupy.ones(4))
    time.sleep(60)
