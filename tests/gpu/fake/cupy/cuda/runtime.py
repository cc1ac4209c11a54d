"""The CUDA runtime, as far as it is asked."""

from __future__ import annotations

import os
from typing import Any


class CUDARuntimeError(RuntimeError):
    """What the runtime raises."""

    def __init__(self, status: int | str) -> None:
        super().__init__("cudaErrorMemoryAllocation: out of memory" if status == 2 else status)


cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor = 75, 76  # noqa: N816
TOTAL = 8 << 30


def getDeviceCount() -> int:
    """The number of fake devices."""
    return int(os.environ.get("FAKE_CUDA_DEVICES", "2"))


def getDevice() -> int:
    """The current device's number."""
    import cupy

    return int(cupy.cuda._current.number)


def setDevice(number: int) -> None:
    """Makes a device the current one."""
    import cupy

    if not 0 <= number < getDeviceCount():
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    cupy.cuda._current.number = number


def deviceSynchronize() -> None:
    """Waits for what is queued."""
    from .. import _recording
    from .queued import wait_for_all

    _recording.refuse_waiting()
    wait_for_all()


def memGetInfo() -> tuple[int, int]:
    """Free and total memory, in bytes."""
    from .memory import pool

    return TOTAL - pool().total_bytes(), TOTAL


def runtimeGetVersion() -> int:
    """CUDA 13.0."""
    return 13000


def driverGetVersion() -> int:
    """CUDA 13.0."""
    return 13000


def deviceGetPCIBusId(number: int) -> str:
    """Where a device sits."""
    return f"0000:{number + 1:02x}:00.0"


def deviceCanAccessPeer(device: int, peer: int) -> int:
    """1 between any two."""
    return int(device != peer)


def getDeviceProperties(number: int) -> dict[str, Any]:
    """What a device is."""
    if not 0 <= number < getDeviceCount():
        raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
    return {
        "name": b"Fake GPU",
        "major": 9,
        "minor": 0,
        "totalGlobalMem": TOTAL,
        "multiProcessorCount": 4,
        "warpSize": 32,
        "l2CacheSize": 1 << 20,
        "maxThreadsPerMultiProcessor": 2048,
        "regsPerMultiprocessor": 65536,
        "sharedMemPerBlock": 49152,
        "uuid": bytes(range(16)),
    }
