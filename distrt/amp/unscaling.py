"""Divides an optimizer's gradients by the scale, and finds the first that is not finite, on this rank or on another.

``GradScaler`` calls it. On which ranks have to agree is what ``agreement.py`` knows.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.amp.agreement import MOST_RANKS, agreements_of
from distrt.core import dtype as dt
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor, wrap

__all__ = ["unscale"]


def unscale(
    optimizer: Any, factor: float, allow_fp16: bool
) -> tuple[dict[Any, Tensor], tuple[int, int | None] | None]:
    """Multiplies the gradients of an optimizer's parameters by ``factor``.

    Returns:
        For each device that has any, a tensor that is 1 where one of them was not finite. And the first that was not,
        where there is one: its parameter's number among all of the optimizer's, and the first rank that found it (None
        where all did, or there is one process only).

    Raises:
        ValueError: for float16 gradients, unless they are allowed.
        AssertionError: for a parameter that is no tensor.
    """
    found: dict[Any, Tensor] = {}
    first: int | None = None
    parameters: list[Tensor] = [each for group in optimizer.param_groups for each in group["params"]]
    with no_grad():
        for number, parameter in enumerate(parameters):
            if not isinstance(parameter, Tensor):
                raise AssertionError(f"expected param to be torch.Tensor, got {type(parameter).__name__}")
            gradient = parameter.grad
            if gradient is None:
                continue
            if gradient.dtype is dt.float16 and not allow_fp16:
                raise ValueError("Attempting to unscale FP16 gradients.")
            found.setdefault(gradient.device, _flag(False))
            if first is None and not np.isfinite(gradient._array).all():
                first = number
                found[gradient.device] = _flag(True)
            if factor != 1.0:
                gradient.mul_(factor)
    place = _agreed(parameters, first)
    if place is not None:
        for device in list(found) or [parameters[place[0]].device]:
            found[device] = _flag(True)
    return found, place


def _agreed(parameters: list[Tensor], number: int | None) -> tuple[int, int | None] | None:
    """Makes an overflow on one rank one of all ranks that share parameters; as the second result of ``unscale``."""
    rank: int | None = None
    for agreement in agreements_of(parameters):
        key = math.inf if number is None else number * MOST_RANKS + (agreement.rank if rank is None else rank)
        message = np.array([-key, float(number is None)])
        agreement.maximum(message)
        if math.isfinite(message[0]):
            number, rank = divmod(int(-message[0]), MOST_RANKS)
            if not message[1]:  # every rank found something: the gradients are the same everywhere
                rank = None
    return None if number is None else (number, rank)


def _flag(is_set: bool) -> Tensor:
    return wrap(np.array(float(is_set), np.float32))
