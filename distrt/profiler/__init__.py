"""PyTorch's ``torch.profiler``: which operations take how long, how often, on what, and who has called them.

``recording`` watches a thread's calls and gives ``events``; ``table`` and ``trace_file`` show them; ``session`` has
what users call: ``profile`` and its schedule. While nobody profiles, nothing of this costs anything: operations do not
know of it.

Source: https://docs.pytorch.org/docs/stable/profiler.html
"""

from distrt.profiler import itt as itt
from distrt.profiler.activities import DeviceType, ProfilerActivity, kineto_available, supported_activities
from distrt.profiler.annotations import record_function
from distrt.profiler.schedules import ProfilerAction, schedule
from distrt.profiler.session import profile, tensorboard_trace_handler

__all__ = [
    "DeviceType",
    "ProfilerAction",
    "ProfilerActivity",
    "kineto_available",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]
