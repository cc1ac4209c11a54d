"""CUPTI's records, as far as they are read: each is the begin of a structure that newer versions only make longer.

`tests/profiler/test_cupti_records.py` compares them with NVIDIA's headers. Times are nanoseconds of CUPTI's clock.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_char_p, c_int32, c_int64, c_uint8, c_uint16, c_uint32, c_uint64, c_void_p
from typing import Any

from distrt.profiler.gpu.library import Cupti

__all__ = ["KINDS", "Call", "Copy", "CopyBetween", "Kernel", "Link", "Setting", "records_in"]


class Call(ctypes.Structure):
    """``CUpti_ActivityAPI``: a call of CUDA's runtime or driver."""

    _fields_ = (
        ("kind", c_uint32),
        ("cbid", c_uint32),
        ("start", c_uint64),
        ("end", c_uint64),
        ("processId", c_uint32),
        ("threadId", c_uint32),
        ("correlationId", c_uint32),
        ("returnValue", c_uint32),
    )


class Link(ctypes.Structure):
    """``CUpti_ActivityExternalCorrelation``: the id that was pushed when a call was made."""

    _fields_ = (
        ("kind", c_uint32),
        ("externalKind", c_uint32),
        ("externalId", c_uint64),
        ("correlationId", c_uint32),
        ("reserved", c_uint32),
    )


class Kernel(ctypes.Structure):
    """``CUpti_ActivityKernel8`` to ``13``."""

    _fields_ = (
        ("kind", c_uint32),
        ("cacheConfig", c_uint8),
        ("sharedMemoryConfig", c_uint8),
        ("registersPerThread", c_uint16),
        ("partitionedGlobalCacheRequested", c_uint32),
        ("partitionedGlobalCacheExecuted", c_uint32),
        ("start", c_uint64),
        ("end", c_uint64),
        ("completed", c_uint64),
        ("deviceId", c_uint32),
        ("contextId", c_uint32),
        ("streamId", c_uint32),
        ("gridX", c_int32),
        ("gridY", c_int32),
        ("gridZ", c_int32),
        ("blockX", c_int32),
        ("blockY", c_int32),
        ("blockZ", c_int32),
        ("staticSharedMemory", c_int32),
        ("dynamicSharedMemory", c_int32),
        ("localMemoryPerThread", c_uint32),
        ("localMemoryTotal", c_uint32),
        ("correlationId", c_uint32),
        ("gridId", c_int64),
        ("name", c_char_p),
        ("reserved0", c_void_p),
        ("queued", c_uint64),
        ("submitted", c_uint64),
        ("launchType", c_uint8),
        ("isSharedMemoryCarveoutRequested", c_uint8),
        ("sharedMemoryCarveoutRequested", c_uint8),
        ("padding", c_uint8),
        ("sharedMemoryExecuted", c_uint32),
        ("graphNodeId", c_uint64),
        ("shmemLimitConfig", c_uint32),
        ("graphId", c_uint32),
    )


#: What was done to memory, when and where.
_DONE = (
    ("bytes", c_uint64),
    ("start", c_uint64),
    ("end", c_uint64),
    ("deviceId", c_uint32),
    ("contextId", c_uint32),
    ("streamId", c_uint32),
)

#: How copies of either kind begin.
_COPYING = (
    ("kind", c_uint32),
    ("copyKind", c_uint8),
    ("srcKind", c_uint8),
    ("dstKind", c_uint8),
    ("flags", c_uint8),
    *_DONE,
)

#: How copies and what sets memory end, as far as they are read.
_IN_A_GRAPH = (
    ("reserved0", c_void_p),
    ("graphNodeId", c_uint64),
    ("graphId", c_uint32),
)


class Copy(ctypes.Structure):
    """``CUpti_ActivityMemcpy5`` to ``7``."""

    _fields_ = (
        *_COPYING,
        ("correlationId", c_uint32),
        ("runtimeCorrelationId", c_uint32),
        ("pad", c_uint32),
        *_IN_A_GRAPH,
    )


class CopyBetween(ctypes.Structure):
    """``CUpti_ActivityMemcpyPtoP4``: from one GPU to another."""

    _fields_ = (
        *_COPYING,
        ("srcDeviceId", c_uint32),
        ("srcContextId", c_uint32),
        ("dstDeviceId", c_uint32),
        ("dstContextId", c_uint32),
        ("correlationId", c_uint32),
        *_IN_A_GRAPH,
    )


class Setting(ctypes.Structure):
    """``CUpti_ActivityMemset4`` and ``5``."""

    _fields_ = (
        ("kind", c_uint32),
        ("value", c_uint32),
        *_DONE,
        ("correlationId", c_uint32),
        ("flags", c_uint16),
        ("memoryKind", c_uint16),
        ("pad", c_uint32),
        *_IN_A_GRAPH,
    )


#: ``CUpti_ActivityKind``: what is asked for, and how each record begins.
KINDS: dict[int, type[ctypes.Structure]] = {
    1: Copy,
    2: Setting,
    4: Call,  # of the driver
    5: Call,  # of the runtime
    10: Kernel,  # CONCURRENT_KERNEL
    22: CopyBetween,  # MEMCPY2
    39: Link,
}


def records_in(cupti: Cupti, buffer: int, size: int) -> Iterator[Any]:
    """The records of a buffer, each valid as long as it is."""
    record = c_void_p()
    following = cupti.functions.cuptiActivityGetNextRecord
    while not following(buffer, size, byref(record)):  # it ends with CUPTI_ERROR_MAX_LIMIT_REACHED
        assert record.value is not None
        made = KINDS.get(c_uint32.from_address(record.value).value)
        if made is not None:
            yield made.from_address(record.value)
