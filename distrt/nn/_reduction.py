"""Facade: PyTorch's ``torch.nn._reduction``, which losses of one's own ask what their older arguments mean."""

from __future__ import annotations

from distrt.nn.functional.reductions import legacy_reduction, reduction_of

__all__ = ["get_enum", "legacy_get_enum", "legacy_get_string"]

_NUMBERS = {"none": 0, "mean": 1, "sum": 2}


def get_enum(reduction: str) -> int:
    """The number that stands for "none", "mean" or "sum".

    Raises:
        ValueError: for another text.
    """
    return _NUMBERS[reduction_of(reduction)]


def legacy_get_string(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> str:
    """What ``size_average`` and ``reduce`` mean together."""
    return legacy_reduction(size_average, reduce, emit_warning)


def legacy_get_enum(size_average: bool | None, reduce: bool | None, emit_warning: bool = True) -> int:
    """The number that stands for it."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
