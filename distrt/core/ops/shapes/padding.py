"""Padding: more elements around the last dims, constant ones or copies of those inside; negative sizes cut off.

Every padding is given as pairs (before, after), one for each of the last dims, in their order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, Scalar, filled, row_major
from distrt.core.dtypes.promotion import convert
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.pointwise.half import wide

__all__ = ["circular_pad", "constant_pad", "reflection_pad", "replication_pad"]

Pads = tuple[tuple[int, int], ...]


@op(node="ConstantPadNd")
def constant_pad(input: Array, pad: Pads, value: Scalar) -> Array:
    """``value`` around the last dims."""
    shape = _padded_shape(input.shape, pad)
    sizes = zip(input.shape[input.ndim - len(pad) :], pad, strict=True)
    if min(shape) < 0 or any(n + min(b, 0) + min(a, 0) < 0 for n, (b, a) in sizes):
        raise ShapeError("narrow(): length must be non-negative.")
    filler = convert(value, input.dtype)[()]
    padded: Array = (
        np.zeros(shape, input.dtype, like=input) if not value else filled(shape, filler, input.dtype, input)
    )
    inside = tuple(slice(max(b, 0), n - max(a, 0)) for (b, a), n in zip(pad, shape[-len(pad) :], strict=True))
    kept = tuple(
        slice(max(-b, 0), n - max(-a, 0)) for (b, a), n in zip(pad, input.shape[-len(pad) :], strict=True)
    )
    padded[(..., *inside)] = input[(..., *kept)]
    return padded


constant_pad.gradient(input=lambda g, pad: constant_pad(g, tuple((-b, -a) for b, a in pad), 0))


@op(node="ReflectionPad")
def reflection_pad(input: Array, pad: Pads) -> Array:
    """The elements beside the first and the last of each dim, mirrored there."""
    return _filled(input, pad, _mirrored)


@op(node="ReplicationPad")
def replication_pad(input: Array, pad: Pads) -> Array:
    """The first and the last element of each dim, repeated."""
    return _filled(input, pad, _repeated)


@op(node="CircularPad")
def circular_pad(input: Array, pad: Pads) -> Array:
    """The elements of the other end of each dim."""
    return _filled(input, pad, _wrapped)


@op(node="ReflectionPadBackward")
def reflection_pad_gradient(input: Array, pad: Pads) -> Array:
    """The output's gradient, with what lies in the padding added where it was copied from."""
    return _folded(input, pad, _mirrored)


@op(node="ReplicationPadBackward")
def replication_pad_gradient(input: Array, pad: Pads) -> Array:
    """The output's gradient, with what lies in the padding added where it was copied from."""
    return _folded(input, pad, _repeated)


@op(node="CircularPadBackward")
def circular_pad_gradient(input: Array, pad: Pads) -> Array:
    """The output's gradient, with what lies in the padding added where it was copied from."""
    return _folded(input, pad, _wrapped)


reflection_pad.gradient(input=lambda g, pad: reflection_pad_gradient(g, pad))
replication_pad.gradient(input=lambda g, pad: replication_pad_gradient(g, pad))
circular_pad.gradient(input=lambda g, pad: circular_pad_gradient(g, pad))
reflection_pad_gradient.gradient(input=lambda g, pad: reflection_pad(g, pad))
replication_pad_gradient.gradient(input=lambda g, pad: replication_pad(g, pad))
circular_pad_gradient.gradient(input=lambda g, pad: circular_pad(g, pad))


def _padded_shape(shape: tuple[int, ...], pad: Pads) -> tuple[int, ...]:
    lead = shape[: len(shape) - len(pad)]
    return (*lead, *[n + b + a for n, (b, a) in zip(shape[len(lead) :], pad, strict=True)])


def _mirrored(size: int, before: int, after: int) -> Iterator[tuple[slice, slice]]:
    """Where the padding of a dim lies, and where its elements come from: pairs of slices of the padded dim."""
    end = before + size
    yield slice(0, before), slice(2 * before, before, -1)
    yield slice(end, end + after), slice(end - 2, end - 2 - after if end - 2 - after >= 0 else None, -1)


def _repeated(size: int, before: int, after: int) -> Iterator[tuple[slice, slice]]:
    end = before + size
    yield slice(0, before), slice(before, before + 1)
    yield slice(end, end + after), slice(end - 1, end)


def _wrapped(size: int, before: int, after: int) -> Iterator[tuple[slice, slice]]:
    end = before + size
    yield slice(0, before), slice(size, end)
    yield slice(end, end + after), slice(before, before + after)


def _filled(input: Array, pad: Pads, sources: Any) -> Array:
    """Padded dim by dim: a later dim copies what an earlier one has filled."""
    more, fewer = _split(pad)
    if sources is _wrapped:  # what is cut off is not there to be wrapped, but to be mirrored it is
        input = _cut(input, fewer)
    padded: Array = np.empty(_padded_shape(input.shape, more), input.dtype, like=input)
    spatial = input.shape[input.ndim - len(pad) :]
    padded[(..., *[slice(b, b + n) for n, (b, _) in zip(spatial, more, strict=True)])] = input
    for axis, size, (before, after) in _dims(spatial, more, input.ndim):
        for target, source in sources(size, before, after):
            if target.start != target.stop:
                padded[_key(axis, target)] = padded[_key(axis, source)]
    return padded if sources is _wrapped else _cut(padded, fewer)


def _folded(input: Array, pad: Pads, sources: Any) -> Array:
    """The transpose of :func:`_filled`: its steps turned round, in the opposite order."""
    more, fewer = _split(pad)
    lead = input.ndim - len(pad)
    total = wide(input)
    if sources is not _wrapped:
        total = _uncut(total, fewer)
    total = total.copy() if total is input else total
    spatial = tuple(n - b - a for n, (b, a) in zip(total.shape[lead:], more, strict=True))
    for axis, size, (before, after) in reversed(_dims(spatial, more, input.ndim)):
        for target, source in sources(size, before, after):
            if target.start == target.stop:
                continue
            outside = total[_key(axis, target)]
            if sources is _repeated:
                outside = outside.sum(axis=axis, keepdims=True)
            total[_key(axis, source)] += outside
    inside = total[(..., *[slice(b, b + n) for n, (b, _) in zip(spatial, more, strict=True)])]
    inside = _uncut(inside, fewer) if sources is _wrapped else inside
    return row_major(inside).astype(input.dtype, copy=False)


def _split(pad: Pads) -> tuple[Pads, Pads]:
    """What is to be added around each dim, and what is to be cut off."""
    more = tuple((max(b, 0), max(a, 0)) for b, a in pad)
    return more, tuple((max(-b, 0), max(-a, 0)) for b, a in pad)


def _dims(spatial: tuple[int, ...], pad: Pads, ndim: int) -> list[tuple[int, int, tuple[int, int]]]:
    """Axis, size and padding of each padded dim."""
    lead = ndim - len(pad)
    return [(lead + n, size, pad[n]) for n, size in enumerate(spatial) if any(pad[n])]


def _key(axis: int, part: slice) -> tuple[slice, ...]:
    return (*[slice(None)] * axis, part)


def _cut(array: Array, fewer: Pads) -> Array:
    """Without the first and the last elements of the last dims."""
    if not any(map(any, fewer)):
        return array
    sizes = array.shape[array.ndim - len(fewer) :]
    kept = tuple(slice(b, n - a) for n, (b, a) in zip(sizes, fewer, strict=True))
    return row_major(array[(..., *kept)])


def _uncut(array: Array, fewer: Pads) -> Array:
    """Zeros where :func:`_cut` took elements away."""
    if not any(map(any, fewer)):
        return array
    return ops.constant_pad(array, fewer, 0)
