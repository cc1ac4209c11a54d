"""Version counters: how a tensor and its views know that their memory was changed in place.

A counter is a list that a tensor shares with its views and its detached twins. Its first element is the number of
in-place changes; the others are weak references to the views of the memory, which a recorded change of any
of them must reach (``core/tensors/rebase.py``). A list, because one is made for every result of every operation,
and a list display is the cheapest thing in Python that can be shared and changed.
"""

from __future__ import annotations

import weakref
from typing import Any

from distrt.core.errors import AutogradError
from distrt.core.modes import modes

Counter = list[Any]


class _InferenceCounter(list[Any]):
    """The counter of every tensor made under ``inference_mode``: there is nothing to count, and reading it says so."""

    def __getitem__(self, position: Any) -> Any:
        if modes.inference:
            return 0
        raise AutogradError(
            "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
            "computation tracked by autograd. To work around this, you can make a clone to get a normal tensor and use "
            "it in autograd, or use `torch.no_grad()` instead of `torch.inference_mode()`."
        )

    def __setitem__(self, position: Any, value: Any) -> None:
        if not modes.inference:
            raise AutogradError(_NO_CHANGE)

    def append(self, reference: Any) -> None:
        """Views of inference tensors are not followed."""


_NO_CHANGE = (
    "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal "
    "tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
)

INFERENCE = _InferenceCounter([0])


def new_counter() -> Counter:
    """The counter of a tensor that is made now."""
    return INFERENCE if modes.inference else [0]


def note_change(counter: Counter) -> None:
    """Counts one in-place change.

    Raises:
        AutogradError: outside inference mode, for a tensor that was made inside it.
    """
    if counter is INFERENCE:
        if not modes.inference:
            raise AutogradError(_NO_CHANGE)
        return
    counter[0] += 1


def require_changeable(counter: Counter) -> None:
    """Raises what :func:`note_change` would raise, before anything is written."""
    if counter is INFERENCE and not modes.inference:
        raise AutogradError(_NO_CHANGE)


def forget_dead_views(counter: Counter) -> None:
    """Drops references to views that are gone, each time their number has doubled."""
    count = len(counter)
    if not count & (count - 1):
        counter[1:] = [reference for reference in counter[1:] if reference() is not None]


def live_views(counter: Counter) -> list[Any]:
    """The views that still exist."""
    references: list[weakref.ref[Any]] = list(counter)[1:]
    return [view for reference in references if (view := reference()) is not None]
