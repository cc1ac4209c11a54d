"""``schedule``: which steps of a run are recorded."""

from __future__ import annotations

import enum
from collections.abc import Callable

from distrt.core.process.users_code import warn

__all__ = ["ProfilerAction", "Schedule", "always", "schedule"]


class ProfilerAction(enum.Enum):
    """What the profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3
    DEVICE_STOPPED = 4  # PyTorch's, when a GPU's recording breaks off

    @property
    def is_recording(self) -> bool:
        """Whether the step's events are kept."""
        return self in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


Schedule = Callable[[int], ProfilerAction]


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Schedule:
    """After ``skip_first`` steps, cycles of ``wait`` steps off, ``warmup`` steps, and ``active`` recorded ones.

    Args:
        wait, warmup, active: numbers of steps.
        repeat: how many cycles; 0 for any number.
        skip_first: steps before the first cycle.
        skip_first_wait: other than 0 to leave ``wait`` out of the first cycle.

    Raises:
        AssertionError: a number is negative, or ``active`` is 0.
    """
    given = {"wait": wait, "warmup": warmup, "active": active, "repeat": repeat, "skip_first": skip_first}
    least = {"active": 1}
    if any(value < least.get(name, 0) for name, value in given.items()):
        said = ", ".join(
            f"{name}={value} (need {'> 0' if name in least else '>= 0'})" for name, value in given.items()
        )
        raise AssertionError(f"Invalid profiler schedule arguments. Got {said}.")

    if not warmup:
        warn("Profiler won't be using warmup, this can skew profiler results")

    def action(step: int) -> ProfilerAction:
        assert step >= 0, f"Step must be non-negative. Got {step}."
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        cycle, position = divmod(step, wait + warmup + active)
        if (repeat and cycle >= repeat) or position < wait:
            return ProfilerAction.NONE
        if position < wait + warmup:
            return ProfilerAction.WARMUP
        is_last = position == wait + warmup + active - 1
        return ProfilerAction.RECORD_AND_SAVE if is_last else ProfilerAction.RECORD

    return action


def always(step: int) -> ProfilerAction:
    """Every step is recorded; they are saved at the end."""
    return ProfilerAction.RECORD
