"""What goes wrong is told by name, and in time; nothing hangs, not even the end."""

from __future__ import annotations

import os
import signal
import time

import cupy

from distrt.comm.process_group import ProcessGroup
from distrt.core.errors import DistributedError
from tests.gpu.checks.on_gpu import OnGpu


def main(group: ProcessGroup, fault: str) -> None:
    """Prints what this rank is told."""
    group.timeout_s = 3.0
    OnGpu(group)
    array = cupy.ones(4 + (fault == "mismatch" and group.rank()), cupy.float32)
    one = cupy.ones(4, cupy.float32)
    group.all_reduce(one)
    assert one.get().tolist() == [group.size()] * 4
    began = time.monotonic()
    if fault == "death" and group.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "lateness" and group.rank() == 1:
        time.sleep(8)
        return
    try:
        while True:
            group.all_reduce(array)
            cupy.cuda.runtime.deviceSynchronize()  # returns when the communicator is aborted, at the latest
    except DistributedError as error:
        print(f"{time.monotonic() - began:.1f}", type(error).__name__, error)
    group.close()
    print("closed")
