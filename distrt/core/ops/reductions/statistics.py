"""Variances and covariances."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, bool_in, known
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.reductions.reduction import add_up, mean, spread
from distrt.core.ops.shapes.dims import Dims, all_dims, count_over
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["corrcoef", "cov", "std", "std_mean", "var", "var_mean"]


@op()
def _var(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    """The variance over ``dim``, divided by ``n - correction``; real for complex numbers too."""
    return _variance(input, dim, correction, keepdim).astype(input.real.dtype, copy=False)


@op()
def _std(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    """The standard deviation over ``dim``: the square root of the variance; its gradient is 0 where it is 0."""
    return np.sqrt(_variance(input, dim, correction, keepdim)).astype(input.real.dtype, copy=False)


def _variance(input: Array, dim: Dims, correction: float, keepdim: bool) -> Array:
    if input.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError(f"std and var only support floating point and complex dtypes; got {dt.of(input)}")
    axes = all_dims(dim, input.ndim)
    freedom = count_over(input.shape, dim) - correction
    if freedom <= 0:
        warn(
            "std/var: degrees of freedom is <= 0. Correction should be strictly less than the reduction factor (input "
            "numel divided by output numel)."
        )
    centred = wide(input)
    centred = centred - np.true_divide(
        add_up(centred, axis=axes, keepdims=True), count_over(input.shape, dim)
    )
    squares = (
        np.square(centred) if centred.dtype.kind != "c" else np.square(centred.real) + np.square(centred.imag)
    )
    return np.true_divide(add_up(squares, axis=axes, keepdims=keepdim), max(freedom, 0))


def _var_slope(g: Any, input: Any, dim: Dims, correction: float) -> Any:
    shape = tuple(input.shape)
    freedom = count_over(shape, dim) - correction
    centred = ops.sub(input, mean(input, dim, True))
    # As PyTorch has it for a variance of everything.
    if freedom <= 0 and (dim is None or dim == () or not shape):
        slope = ops.where(ops.eq(centred, 0), float("nan"), float("inf"))
        return ops.mul(spread(g, shape, dim), ops.to_dtype(slope, getattr(g, "_array", g).dtype))
    return ops.mul(spread(g, shape, dim), ops.mul(centred, 2 / freedom if freedom else float("inf")))


_var.gradient(input=lambda g, input, dim, correction: _var_slope(g, input, dim, correction))
_std.gradient(
    input=lambda g, input, out, dim, correction: _var_slope(
        ops.where(ops.eq(out, 0), 0.0, ops.true_divide(g, ops.mul(out, 2))), input, dim, correction
    )
)


@takes_out
def var(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The variance over ``dim``: divided by ``n - correction``, which is 1 unless said otherwise."""
    dim, correction = _read("var", dim, unbiased, correction)
    return _var(input, dim, correction, keepdim)


@takes_out
def std(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Any:
    """The standard deviation over ``dim``: the square root of ``var``."""
    dim, correction = _read("std", dim, unbiased, correction)
    return _std(input, dim, correction, keepdim)


def var_mean(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """The variance and the mean over ``dim``."""
    dim, correction = _read("var_mean", dim, unbiased, correction)
    return _var(input, dim, correction, keepdim), mean(input, dim, keepdim)


def std_mean(
    input: Any,
    dim: Dims = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Any, Any]:
    """The standard deviation and the mean over ``dim``."""
    dim, correction = _read("std_mean", dim, unbiased, correction)
    return _std(input, dim, correction, keepdim), mean(input, dim, keepdim)


def _read(name: str, dim: Any, unbiased: bool | None, correction: Any) -> tuple[Dims, float]:
    """The dims and the correction: ``unbiased`` is its older form, and may come in the place of ``dim``."""
    if isinstance(correction, Tensor):
        correction = correction.item()
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if not isinstance(unbiased, bool | None):
        unbiased = bool_in(name, "unbiased", unbiased)
    if unbiased is None:
        return dim, 1 if correction is None else correction
    if correction is not None:
        raise TypeError(f"{name}(): takes either unbiased= or correction=, not both")
    return dim, int(unbiased)


def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of the variables, one a row, over their observations, one a column.

    Args:
        input: at most 2-D; with fewer dims one variable.
        correction: what is taken from the number of observations that the sums are divided by.
        fweights: how many times each observation counts, as integers.
        aweights: how much each observation weighs.

    Raises:
        ShapeError: for more dims, or weights that do not fit.
        DtypeError: for bools, or weights of the wrong kind.
    """
    if input.ndim > 2:
        raise ShapeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    if input.dtype.category == 0:
        raise DtypeError("cov(): bool dtype is not supported for input")
    rows = ops.reshape(input, (1, -1)) if input.ndim < 2 else input
    count = rows.shape[1]
    weights = _weights(count, fweights, aweights)
    weighted = rows if weights is None else ops.mul(rows, weights)
    total = count if weights is None else ops.sum(weights)
    centred = ops.sub(rows, ops.true_divide(ops.sum(weighted, 1, True), total))
    weighted = centred if weights is None else ops.mul(centred, weights)
    products = ops.matmul(centred, ops.conj(ops.transpose(weighted, 0, 1)))
    divisor = _divisor(total, weights, aweights, correction)
    if (divisor.item() if isinstance(divisor, Tensor) else divisor) <= 0:
        warn(
            "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of "
            "observations."
        )
        divisor = 0.0
    return ops.squeeze(ops.true_divide(products, divisor))


def _weights(count: int, fweights: Any, aweights: Any) -> Any:
    for name, each, category in (("fweights", fweights, 1), ("aweights", aweights, 2)):
        if each is None:
            continue
        if each.ndim > 1:
            raise ShapeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {each.ndim} dimensions"
            )
        if each.dtype.category != category:
            kind = "integral" if category == 1 else "floating point"
            raise DtypeError(
                f"cov(): expected {name} to have {kind} dtype but got {name} with {each.dtype} dtype"
            )
        if each.numel() != count:
            raise ShapeError(
                f"cov(): expected {name} to have the same numel as there are observations in the input but got "
                f"{each.numel()} != {count}"
            )
        if known((each._array < 0).any()):
            raise ShapeError(f"cov(): {name} cannot be negative")
    if fweights is None or aweights is None:
        return aweights if fweights is None else fweights
    return ops.mul(fweights, aweights)


def _divisor(total: Any, weights: Any, aweights: Any, correction: int) -> Any:
    if weights is None or aweights is None:
        return total - correction
    return ops.sub(total, ops.mul(correction, ops.true_divide(ops.sum(ops.mul(weights, aweights)), total)))


def corrcoef(input: Any) -> Any:
    """The correlation coefficients of the variables, one a row: their covariances over their deviations."""
    if input.ndim > 2:
        raise ShapeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions"
        )
    covariances = cov(input)
    if covariances.ndim == 0:
        return ops.true_divide(covariances, covariances)
    places = np.arange(covariances.shape[0], like=beside(covariances))
    deviations = ops.sqrt(ops.real(ops.index(covariances, (places, places))))
    scaled = ops.true_divide(covariances, ops.reshape(deviations, (-1, 1)))
    scaled = ops.true_divide(scaled, ops.reshape(deviations, (1, -1)))
    if not scaled.is_complex():
        return ops.clamp(scaled, -1, 1)
    return ops.complex(ops.clamp(ops.real(scaled), -1, 1), ops.clamp(ops.imag(scaled), -1, 1))
