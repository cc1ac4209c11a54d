"""Facade: what a profile gives, at PyTorch's path. The room is ``distrt.profiler``."""

from distrt.profiler.events import EventList, FunctionEvent, FunctionEventAvg, TimeRange

__all__ = ["EventList", "FunctionEvent", "FunctionEventAvg", "TimeRange"]
