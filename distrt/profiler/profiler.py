"""Facade: ``torch.profiler.profiler``, where PyTorch has its classes; here they are in ``session.py`` and beside it."""

from distrt.profiler.activities import ProfilerActivity, supported_activities
from distrt.profiler.schedules import ProfilerAction, schedule
from distrt.profiler.session import profile, tensorboard_trace_handler

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
