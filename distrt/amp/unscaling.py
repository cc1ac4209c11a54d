"""Divides an optimizer's gradients by the scale, and finds the first that is not finite, on this rank or on another.

On GPUs that is one launch, and nobody waits for what it finds.

``GradScaler`` calls it. On which ranks have to agree is what ``agreement.py`` knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.amp.agreement import MOST_RANKS, agreements_of
from distrt.core.arrays import Array
from distrt.core.dtypes import dtype as dt
from distrt.core.gpu.places import at
from distrt.core.kernels import on_gpu
from distrt.core.modes import no_grad, used
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.versions import note_change

__all__ = ["Where", "unscale"]

#: The first gradient that was not finite: its parameter's number among all of the optimizer's, and the first rank that
#: found it (None where all did, or there is one process only). None where all were finite.
Where = tuple[int, int | None] | None


def unscale(
    optimizer: Any, factor: float, allow_fp16: bool
) -> tuple[dict[Any, Tensor], Where | Callable[[], Where]]:
    """Multiplies the gradients of an optimizer's parameters by ``factor``.

    Returns:
        For each device that has any, a tensor that is 1 where one of them was not finite. And the first that was not,
        where there is one; or, where gradients are on GPUs, what waits for these to know that.

    Raises:
        ValueError: for float16 gradients, unless they are allowed.
        AssertionError: for a parameter that is no tensor.
    """
    found: dict[Any, Tensor] = {}
    first: int | None = None
    there: dict[tuple[Any, Any], list[tuple[Tensor, int]]] = {}
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
            array = gradient._array
            if used.gpu and on_gpu.checks.suits(array):
                there.setdefault((gradient.device, array.dtype), []).append((gradient, number))
                continue
            found.setdefault(gradient.device, _flag(False))
            if first is None and not np.isfinite(array.values if is_sparse(array) else array).all():
                first = number
                found[gradient.device] = _flag(True)
            if factor != 1.0:
                gradient.mul_(factor)
    lowest = [_unscaled_there(found, some, factor) for some in there.values()]
    if lowest and not agreements_of(parameters):
        return found, lambda: _alone(_lowest(first, lowest))
    place = _agreed(parameters, _lowest(first, lowest) if lowest else first)
    if place is not None:
        for device in list(found) or [parameters[place[0]].device]:
            found[device] = _flag(True)
    return found, place


def _unscaled_there(found: dict[Any, Tensor], some: list[tuple[Tensor, int]], factor: float) -> Array:
    """Multiplies gradients of one GPU and dtype; the lowest number of one that is not finite, still on the GPU."""
    device = some[0][0].device
    with at(some[0][0]._array):
        flag, first = on_gpu.checks.unscale(
            [each._array for each, _ in some], [number for _, number in some], factor
        )
        before = found.get(device)
        found[device] = wrap(
            flag if before is None else np.maximum(flag, np.asarray(before._array, like=flag))
        )
    for each, _ in some:
        note_change(each._counter)
    return first


def _lowest(first: int | None, others: list[Array]) -> int | None:
    """The lowest of several numbers, which may be on GPUs."""
    numbers = [] if first is None else [first]
    numbers += [number for each in others if (number := int(each.get()[0])) != on_gpu.checks.NONE]
    return min(numbers, default=None)


def _alone(number: int | None) -> Where:
    return None if number is None else (number, None)


def _agreed(parameters: list[Tensor], number: int | None) -> Where:
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
