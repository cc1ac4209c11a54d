"""Clipping gradients: by the norm of all of them together, or each element by its value.

The gradients are changed in place, so those that lie in the buckets of DistributedDataParallel stay there.

Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
"""

from __future__ import annotations

import math
import types
from collections.abc import Iterable

import numpy as np

from distrt.core import ops
from distrt.core.modes import no_grad
from distrt.core.overriding import doors
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_"]

Tensors = Tensor | Iterable[Tensor]


def _listed(tensors: Tensors) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Tensors) -> list[Tensor]:
    return [each.grad for each in _listed(parameters) if each.grad is not None]


@no_grad()
def get_total_norm(
    tensors: Tensors, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of all elements of all tensors, as a 0-d tensor.

    Args:
        tensors: one tensor or several.
        norm_type: the p of the p-norm; ``inf`` for the largest absolute value.
        error_if_nonfinite: raise where the norm is infinite or nan.
        foreach: accepted for compatibility; there is one implementation.

    Raises:
        RuntimeError: for a norm that is not finite, where ``error_if_nonfinite`` is set.
    """
    listed = _listed(tensors)
    order = float(norm_type)
    if not listed:
        return wrap(np.zeros((), np.float32))
    total: Tensor
    spread = next((each for each in listed if hasattr(each, "_norm_over_ranks")), None)
    if spread is not None:  # a rank has parts of them
        total = spread._norm_over_ranks(listed, order)
    else:
        norms = ops.stack([ops.linalg_vector_norm(each, order) for each in listed])
        total = ops.linalg_vector_norm(norms, order)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {order} for gradients from `parameters` is non-finite, so it cannot be clipped. "
            "To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(
    parameters: Tensors, max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scales the gradients by ``max_norm / (total_norm + 1e-6)``, where that makes them smaller."""
    total = total_norm._whole() if isinstance(total_norm, Tensor) else total_norm
    factor = ops.clamp(ops.true_divide(float(max_norm), ops.add(total, 1e-6)), max=1.0)
    for gradient in _gradients(parameters):
        if hasattr(gradient, "_norm_over_ranks"):  # a rank's part of one: all have the same factor
            doors.behind(Tensor.mul_)(gradient, factor)
        else:
            gradient.mul_(factor)


def clip_grad_norm_(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scales the gradients so that their norm, taken over all of them together, is at most ``max_norm``.

    Returns:
        The norm before clipping, a 0-d tensor.

    Raises:
        RuntimeError: for a norm that is not finite, where ``error_if_nonfinite`` is set.
    """
    listed = _listed(parameters)  # it may be an iterator, and is read twice
    if not listed and isinstance(parameters, types.GeneratorType):
        warn("`parameters` is an empty generator, no gradient clipping will occur.")
    total: Tensor = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_norm(
    parameters: Tensors,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated: use :func:`clip_grad_norm_`."""
    warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(parameters: Tensors, clip_value: float, foreach: bool | None = None) -> None:
    """Moves every element of the gradients into [-clip_value, clip_value]."""
    bound = float(clip_value)
    for gradient in _gradients(parameters):
        gradient.clamp_(-bound, bound)
