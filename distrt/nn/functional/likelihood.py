"""Losses of distributions: the Kullback-Leibler divergence, and counts and numbers around a predicted mean."""

from __future__ import annotations

import math

from distrt.core import ops
from distrt.core.autocast import autocasts
from distrt.core.creation import ones_like
from distrt.core.errors import DtypeError
from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.functional.reductions import reduced, reduction_of, require_tensors

__all__ = ["gaussian_nll_loss", "kl_div", "poisson_nll_loss"]


@autocasts("full")
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """The divergence of the log probabilities ``input`` from the probabilities ``target`` (``log_target``: their logs).

    The divergence in the textbooks is the one with ``reduction="batchmean"``; ``0 log 0`` is 0.
    """
    wanted = "sum" if reduction == "batchmean" else reduction
    if size_average is None and reduce is None and reduction == "mean":
        warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            UserWarning,
        )
    wanted = reduction_of(wanted, size_average, reduce)
    require_tensors("kl_div", input=input, target=target)
    _require_real(input, target)
    if log_target:
        losses = ops.mul(ops.exp(target), ops.sub(target, input))
    else:
        losses = ops.sub(ops.xlogy(target, target), ops.mul(target, input))
    result = reduced(losses, wanted)
    return result / input.shape[0] if reduction == "batchmean" and input.ndim else result


def _require_real(input: Tensor, target: Tensor) -> None:
    if input.is_complex() or target.is_complex():
        raise DtypeError("kl_div: Complex inputs not supported.")
    if not (input.is_floating_point() and target.is_floating_point()):
        raise DtypeError("kl_div: Integral inputs not supported.")


@autocasts("full")
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of counts around the mean ``input`` (``log_input``: around its exponential).

    ``full`` adds what does not depend on the input, by Stirling's formula, where a count is above 1.
    """
    if size_average is not None or reduce is not None:
        reduction = reduction_of(reduction, size_average, reduce)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    require_tensors("poisson_nll_loss", input=input, target=target)
    if log_input:
        losses = ops.sub(ops.exp(input), ops.mul(target, input))
    else:
        losses = ops.sub(input, ops.mul(target, ops.log(ops.add(input, eps))))
    if full:
        around = ops.mul(ops.log(ops.mul(target, 2 * math.pi)), 0.5)
        stirling = ops.add(ops.sub(ops.mul(target, ops.log(target)), target), around)
        losses = ops.add(losses, ops.masked_fill(stirling, ops.le(target, 1), 0))
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """The negative log likelihood of ``target`` around ``input`` with variance ``var``, which is at least ``eps``.

    Shape: ``var`` is of ``input``'s shape, or of that without its last dim, or with 1 for one dim; or a number.
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        variance = ops.mul(ones_like(input), var)
    elif not isinstance(var, Tensor):
        raise TypeError(f"any() received an invalid combination of arguments - got ({type(var).__name__})")
    elif bool(ops.any(ops.lt(var, 0))):
        raise ValueError("var has negative entry/entries")
    else:
        variance = var
    variance = _fitted(variance, input)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    variance = variance.clone()
    # The bound is no part of the gradient, as if the variance had been that large from the start.
    with no_grad():
        variance.clamp_(min=eps)
    losses = ops.mul(
        ops.add(ops.log(variance), ops.true_divide(ops.square(ops.sub(input, target)), variance)), 0.5
    )
    if full:
        losses = ops.add(losses, 0.5 * math.log(2 * math.pi))
    return reduced(losses, reduction)


def _fitted(var: Tensor, input: Tensor) -> Tensor:
    if var.shape == input.shape:
        return var
    if input.shape[:-1] == var.shape and input.ndim:
        return ops.unsqueeze(var, -1)  # type: ignore[no-any-return]
    differing = [size for like, size in zip(input.shape, var.shape, strict=False) if like != size]
    if input.ndim == var.ndim and sum(differing) == 1:
        return var
    raise ValueError("var is of incorrect size")
