"""Facade: PyTorch's older profiler, at the path that users type. The room is ``distrt.profiler``."""

from distrt.profiler import DeviceType, ProfilerActivity, kineto_available, record_function
from distrt.profiler.events import EventList, FunctionEvent, FunctionEventAvg
from distrt.profiler.older import emit_itt, emit_nvtx, profile

__all__ = [
    "DeviceType",
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "ProfilerActivity",
    "emit_itt",
    "emit_nvtx",
    "kineto_available",
    "profile",
    "record_function",
]
