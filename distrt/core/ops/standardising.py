"""What all normalisations share: mean and variance taken out over some dims of a view, then scaled and shifted.

``View`` says how a layer sees its input; ``standardise`` and its joint rule are array code in one pass, ``plain`` the
same in operations, for derivatives of derivatives. Half precision computes in float32 and rounds once.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DtypeError, NoKernelError
from distrt.core.ops.half import wide
from distrt.core.ops.half_rules import widened
from distrt.core.ops.type_names import scalar_type


class View(NamedTuple):
    """The shape that an input is seen in, the dims that statistics are taken over, and the shape of weight and bias."""

    shape: tuple[int, ...]
    dims: tuple[int, ...]
    parameters: tuple[int, ...]


def by_channel(shape: tuple[int, ...], dims: tuple[int, ...]) -> View:
    """(N, C, everything else), with a weight for each channel."""
    rest = math.prod(shape[2:])
    return View((*shape[:2], rest), dims, (1, shape[1], 1))


def standardise(
    input: Array, weight: Array | None, bias: Array | None, eps: float, view: View, is_centred: bool = True
) -> tuple[Array, Array, Array]:
    """The output, the means and the (biased) variances; without centring the means are 0.

    The statistics keep the view's dims, of size 1 where they were taken over.
    """
    work = wide(input).reshape(view.shape)
    if not work.size:
        none = np.zeros([1 if n in view.dims else size for n, size in enumerate(view.shape)], work.dtype)
        return input.copy(), none, none
    if is_centred:
        average = work.mean(axis=view.dims, keepdims=True)
        work = work - average
    else:
        average = np.zeros((), work.dtype)
    variance = np.square(work).mean(axis=view.dims, keepdims=True)
    out = np.multiply(work, _inverse(variance, eps), out=work if is_centred else None)
    if weight is not None:
        out *= weight.reshape(view.parameters)
    if bias is not None:
        out += bias.reshape(view.parameters)
    return out.reshape(input.shape).astype(input.dtype, copy=False), average, variance


def _inverse(variance: Array, eps: float) -> Array:
    """One over the standard deviation."""
    return np.true_divide(1, np.sqrt(variance + np.asarray(eps, variance.dtype)), dtype=variance.dtype)


def slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    average: Array,
    variance: Array,
    eps: float,
    needs: tuple[bool, ...],
    view: View,
    is_centred: bool = True,
) -> tuple[Array | None, Array | None, Array | None]:
    """The gradients of input, weight and bias: the mean and variance are functions of the input.

    Source: Ioffe and Szegedy 2015, section 3; the other normalisations differ in their dims alone.
    """
    own, inverse = wide(g).reshape(view.shape), _inverse(variance, eps)
    normal = (wide(input).reshape(view.shape) - average) * inverse
    others = tuple(n for n, size in enumerate(view.parameters) if size == 1)
    g_weight = None
    if weight is not None and needs[1]:
        g_weight = (own * normal).sum(axis=others).reshape(weight.shape)
    g_bias = own.sum(axis=others).reshape(view.parameters) if needs[2] else None
    if not needs[0]:
        return None, g_weight, g_bias
    count = math.prod([view.shape[n] for n in view.dims])
    scale = inverse
    if weight is not None and all(view.parameters[n] == 1 for n in view.dims):
        scale = inverse * wide(weight).reshape(view.parameters)  # one weight for all that share a mean
    elif weight is not None:
        own = own * wide(weight).reshape(view.parameters)
    pull = (own * normal).sum(axis=view.dims, keepdims=True) / max(count, 1)
    normal *= -pull
    normal += own
    if is_centred:
        normal -= own.sum(axis=view.dims, keepdims=True) / max(count, 1)
    normal *= scale
    return normal.reshape(input.shape), g_weight, g_bias


def plain(input: Any, weight: Any, bias: Any, eps: float, view: View, is_centred: bool = True) -> Any:
    """As ``standardise``, in operations, the output alone."""
    seen = ops.reshape(widened(input), view.shape)
    if is_centred:
        seen = ops.sub(seen, ops.mean(seen, view.dims, True))
    out = ops.mul(seen, ops.rsqrt(ops.add(ops.mean(ops.mul(seen, seen), view.dims, True), eps)))
    if weight is not None:
        out = ops.mul(out, ops.reshape(weight, view.parameters))
    if bias is not None:
        out = ops.add(out, ops.reshape(bias, view.parameters))
    return ops.to_dtype(ops.reshape(out, input.shape), getattr(input, "_array", input).dtype)


def require_dtypes(operation: str, input: Array, *parameters: Array | None) -> None:
    """Refuses integers, and parameters of another dtype than the input, but for float32 beside half precision.

    Raises:
        NoKernelError: for integers.
        DtypeError: for the rest.
    """
    if input.dtype.kind in "biuc":
        raise NoKernelError(f"\"{operation}\" not implemented for '{scalar_type(input)}'")
    given = [each.dtype for each in parameters if each is not None]
    if all(each == input.dtype for each in given):
        return
    if input.dtype == np.float64:
        raise DtypeError("mixed dtype (CPU): all inputs must share same datatype.")
    if any(each != np.float32 for each in given):
        raise DtypeError("mixed dtype (CPU): expect parameter to have scalar type of Float")
