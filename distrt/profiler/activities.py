"""What can be profiled here: what the CPU does and, where there are any, GPUs. Others are left out with a warning."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from typing import Any

from distrt.core.gpu.library import device_count
from distrt.core.process.users_code import warn

__all__ = [
    "Asked",
    "DeviceType",
    "ProfilerActivity",
    "checked",
    "kineto_available",
    "supported_activities",
    "warn_without",
]


class ProfilerActivity(enum.Enum):
    """Whose work is looked at."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class DeviceType(enum.Enum):
    """Where an event took place."""

    CPU = 0
    CUDA = 1


#: A dictionary narrows an activity down, in PyTorch; here the activity is recorded whole.
Asked = ProfilerActivity | dict[ProfilerActivity, list[str]]


def supported_activities() -> set[ProfilerActivity]:
    """What can be looked at on this machine."""
    return {ProfilerActivity.CPU} | ({ProfilerActivity.CUDA} if device_count() else set())


def kineto_available() -> bool:
    """PyTorch's question for its tracing library; True, since traces can be made."""
    return True


def checked(activities: Iterable[Asked] | None) -> set[ProfilerActivity]:
    """The activities that are asked for and can be had; all that can be had where None.

    Raises:
        AssertionError: nothing is asked for that is an activity, or nothing that can be had.
        TypeError, ValueError: something that is asked for is no activity, or is asked for twice.
    """
    asked = list(_named(supported_activities() if activities is None else activities))
    assert any(isinstance(each, ProfilerActivity) for each in asked), "No valid profiler activities found"
    for number, each in enumerate(asked):
        if not isinstance(each, ProfilerActivity):
            raise TypeError(f"Expected ProfilerActivity or dict, got {type(each)}")
        if each in asked[:number]:
            raise ValueError(f"Activity {each} specified more than once")
    found = set(asked) & supported_activities()
    for each in sorted(set(asked) - found, key=lambda activity: activity.value):
        warn_without(each.name)
    assert found, "No activities specified for the profiler"
    return found


def warn_without(kind: str) -> None:
    """Tells that a kind of device is not measured, in PyTorch's words."""
    warn(f"{kind} is not available, disabling {kind} profiling")


def _named(activities: Iterable[Any]) -> Iterator[Any]:
    for each in activities:
        yield from each if isinstance(each, dict) else (each,)
