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
from distrt.core.kernels import on_gpu, rows
from distrt.core.modes import used
from distrt.core.ops.pointwise.half import readable, rounded, wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import scalar_type


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
    input: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    view: View,
    is_centred: bool = True,
    moving: tuple[Any, ...] | None = None,
) -> tuple[Array, Array, Array]:
    """The output, the means and the (biased) variances; without centring the means are 0.

    The statistics keep the view's dims, of size 1 where they were taken over. ``moving``, running statistics, momentum
    and what makes a variance unbiased, is for kernels that `on_gpu.channels.move_along` speaks for.
    """
    if used.gpu and is_centred and on_gpu.channels.suits(input, view.dims):
        return on_gpu.channels.standardise(input, weight, bias, eps, view, moving)
    work = readable(input).reshape(view.shape)
    if not work.size:
        statistics = [1 if n in view.dims else size for n, size in enumerate(view.shape)]
        none = np.zeros(statistics, wide(work).dtype, like=work)
        return input.copy(), none, none
    if _are_rows(view) and rows.suits(work):
        made, average, variance = rows.normalise(work, weight, bias, eps, is_centred)
        return rounded(made.reshape(input.shape), input.dtype), average, variance
    if used.gpu and _are_rows(view) and on_gpu.rows.suits(seen := input.reshape(view.shape)):
        made, average, variance = on_gpu.rows.normalise(seen, weight, bias, eps, is_centred)
        return made.reshape(input.shape), average, variance
    work = wide(work)
    if is_centred:
        average = _mean(work, view.dims)
        work = work - average
    else:
        average = work.dtype.type(0)
    variance = _mean(np.square(work), view.dims)
    scale = _scale(weight, variance, eps, view)
    out = np.multiply(work, scale, out=work if is_centred else None)
    if weight is not None and not _is_even(view):
        out *= weight.reshape(view.parameters)
    if bias is not None:
        out += bias.reshape(view.parameters)
    return rounded(out.reshape(input.shape), input.dtype), average, variance


def _are_rows(view: View) -> bool:
    """Whether statistics are taken along the rows of a matrix, each place of which has a weight."""
    return view.dims == (1,) and view.parameters == (1, *view.shape[1:])


def _is_even(view: View) -> bool:
    """Whether all that share a mean share a weight."""
    return all(view.parameters[n] == 1 for n in view.dims)


def _scale(weight: Array | None, variance: Array, eps: float, view: View) -> Array:
    """One over the standard deviation; times the weight, where all that share the former share the latter."""
    inverse = _inverse(variance, eps)
    if weight is None or not _is_even(view):
        return inverse
    return inverse * wide(weight).reshape(view.parameters)


def _mean(values: Array, dims: tuple[int, ...]) -> Array:
    """The mean over ``dims``, which stay as dims of size 1."""
    return _total(values, dims) / max(math.prod([values.shape[n] for n in dims]), 1)


def _total(values: Array, dims: tuple[int, ...]) -> Array:
    """The sum over ``dims``, which stay as dims of size 1.

    NumPy sums along the last dim pairwise, which is exact enough; along the others one after another, where float32
    would lose the variance of a long batch with a large mean.
    """
    last = values.ndim - 1
    total = values
    if last in dims and values.shape[last] > 1:
        total = np.add.reduce(values, axis=last, keepdims=True)
    outer = tuple(n for n in dims if n != last)
    if outer:
        total = np.add.reduce(total, axis=outer, keepdims=True, dtype=np.float64)
    return total.astype(values.dtype, copy=False)


def _inverse(variance: Array, eps: float) -> Array:
    """One over the standard deviation."""
    return np.true_divide(1, np.sqrt(variance + variance.dtype.type(eps)), dtype=variance.dtype)


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
    if used.gpu and is_centred and g.dtype == input.dtype and on_gpu.channels.suits(input, view.dims):
        return on_gpu.channels.slopes(g, input, weight, average, variance, eps, needs, view)
    own, given = (readable(each).reshape(view.shape) for each in (g, input))
    if needs[0] and _are_rows(view):
        found = None
        if used.gpu and on_gpu.rows.suits(*(pair := (g.reshape(view.shape), input.reshape(view.shape)))):
            found = on_gpu.rows.normal_slopes(*pair, weight, average, variance, eps, is_centred)
        elif own.dtype == given.dtype and rows.suits(own):
            found = rows.slopes(own, given, weight, average, variance, eps, is_centred)
        if found is not None:
            g_weight = None if weight is None or not needs[1] else in_shape(found[1], weight.shape)
            return found[0].reshape(input.shape), g_weight, found[2] if needs[2] else None
    own = wide(own)
    normal = (wide(given) - average) * _inverse(variance, eps)
    product = own * normal
    others = tuple(n for n, size in enumerate(view.parameters) if size == 1)
    of_weight, of_bias = product, own
    if _is_even(view):  # then the sums over what shares a mean are part of those for the weight
        pull, push = of_weight, of_bias = [_total(each, view.dims) for each in (product, own)]
    else:
        if weight is not None:
            weighed = wide(weight).reshape(view.parameters)
            own, product = own * weighed, product * weighed
        pull, push = _total(product, view.dims), _total(own, view.dims)
    g_weight = None
    if weight is not None and needs[1]:
        g_weight = _total(of_weight, others).reshape(weight.shape)
    g_bias = _total(of_bias, others).reshape(view.parameters) if needs[2] else None
    if not needs[0]:
        return None, g_weight, g_bias
    count = max(math.prod([view.shape[n] for n in view.dims]), 1)
    normal *= pull / -count
    normal += own
    if is_centred:
        normal -= push / count
    normal *= _scale(weight, variance, eps, view)
    return normal.reshape(input.shape), g_weight, g_bias


def in_shape(g: Any, shape: tuple[int, ...]) -> Any:
    """A gradient in a parameter's shape; itself where it has it, since a view of an array of CuPy's would be copied."""
    return g if g is None or g.shape == shape else g.reshape(shape)


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
