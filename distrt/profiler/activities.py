"""What can be profiled here: what the CPU does. GPUs are asked for by many scripts, and left out with a warning."""

from __future__ import annotations

import enum
import warnings
from collections.abc import Iterable

__all__ = ["DeviceType", "ProfilerActivity", "checked", "kineto_available", "supported_activities"]


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


def supported_activities() -> set[ProfilerActivity]:
    """What can be looked at on this machine."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """PyTorch's question for its tracing library; True, since traces can be made."""
    return True


def checked(activities: Iterable[ProfilerActivity] | None) -> set[ProfilerActivity]:
    """The activities that are asked for and can be had; all that can be had where None.

    Raises:
        AssertionError: nothing is asked for that is an activity.
    """
    asked = supported_activities() if activities is None else set(activities)
    asked = {each for each in asked if isinstance(each, ProfilerActivity)}
    assert asked, "No valid profiler activities found"
    for each in sorted(asked - supported_activities(), key=lambda activity: activity.value):
        warnings.warn(f"{each.name} is not available, disabling {each.name} profiling", stacklevel=4)
    return asked & supported_activities()
