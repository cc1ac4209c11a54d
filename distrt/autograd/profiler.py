"""Facade: PyTorch's older profiler, at the path that users type. The room is ``distrt.profiler``."""

from distrt.profiler import record_function
from distrt.profiler.events import EventList, FunctionEvent, FunctionEventAvg
from distrt.profiler.older import emit_itt, emit_nvtx, profile

__all__ = [
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "emit_itt",
    "emit_nvtx",
    "profile",
    "record_function",
]
