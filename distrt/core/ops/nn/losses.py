"""Softmax and its logarithm, which the losses stand on."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, chosen
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import UnsupportedError
from distrt.core.kernels import on_gpu
from distrt.core.kernels import softmax as kernel
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.shapes.dims import one_dim

__all__ = ["log_softmax", "softmax"]

F32 = dt.float32.numpy


@op()
def softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """Exponentials along ``dim``, divided by their sum; shifted by the maximum so that they cannot overflow."""
    axis = one_dim(dim, input.ndim)
    work = _in_floats(input, dtype, "softmax")
    if not work.size or not work.ndim:
        return chosen(np.isfinite(work), work.dtype.type(1), work.dtype.type(np.nan))
    if used.gpu and axis == work.ndim - 1 and on_gpu.rows.suits(work):
        return on_gpu.rows.softmax(work, is_log=False)
    values = wide(work)
    if axis == work.ndim - 1 and kernel.suits(values):
        return kernel.spread(values)[0].astype(work.dtype, copy=False)
    powers = values - values.max(axis=axis, keepdims=True)
    np.exp(powers, out=powers)
    powers /= np.add.reduce(powers, axis=axis, keepdims=True)
    return powers.astype(work.dtype, copy=False)


softmax.gradient(input=lambda g, out, dim: _slope(g, out, dim, is_log=False))


def _slope(g: Any, out: Any, dim: int, is_log: bool) -> Any:
    """The input's gradient, for both."""
    is_last = dim in (-1, out.ndim - 1)
    if used.gpu and is_last and on_gpu.rows.suits(g, out):
        return on_gpu.rows.softmax_slopes(g, out, is_log)
    g, out = widened(g), widened(out)
    if is_last and kernel.suits(g, out):
        return kernel.slopes(g, out, is_log)
    if is_log:
        return ops.sub(g, ops.mul(ops.exp(out), ops.sum(g, dim, True)))
    return ops.mul(out, ops.sub(g, ops.sum(ops.mul(g, out), dim, True)))


@op()
def log_softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """Log of the softmax along ``dim``, shifted by the maximum so that it cannot overflow.

    Shape: any -> same. Autocast: runs in float32.
    """
    axis = one_dim(dim, input.ndim)
    work = _in_floats(input, dtype, "log_softmax")
    if not work.size or not work.ndim:
        return chosen(np.isfinite(work), work.dtype.type(0), work.dtype.type(np.nan))
    if used.gpu and axis == work.ndim - 1 and on_gpu.rows.suits(work):
        return on_gpu.rows.softmax(work, is_log=True)
    values = wide(work)
    if axis == work.ndim - 1 and kernel.suits(values):
        peaks, totals = kernel.sums(values)
        shifted = values - peaks
    else:
        shifted = values - values.max(axis=axis, keepdims=True)
        totals = np.add.reduce(np.exp(shifted), axis=axis, keepdims=True)
    shifted -= np.log(totals)
    return shifted.astype(work.dtype, copy=False)


def _in_floats(input: Array, dtype: Any, name: str) -> Array:
    if dtype is not None:
        input = input.astype(dt.to_numpy(dtype), copy=False)
    if input.dtype is not F32 and (input.dtype.kind == "c" or input.dtype not in dt.FLOATING_NUMPY):
        raise UnsupportedError(
            f"{name}(): not implemented for {dt.of(input)}; say dtype=torch.float32 to convert it"
        )
    return input


log_softmax.gradient(input=lambda g, out, dim: _slope(g, out, dim, is_log=True))
