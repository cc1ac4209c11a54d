"""Normalisation of each sample by itself: over the last dims, over groups of channels, or by the root mean square."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.dtypes.promotion import promote_types
from distrt.core.errors import DataError, ShapeError
from distrt.core.op import op
from distrt.core.ops.nn.standardising import View, in_shape, plain, require_dtypes, slopes, standardise
from distrt.core.tensor import Tensor

__all__ = [
    "group_norm",
    "layer_norm",
    "rms_norm",
]


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """The last dims, which are of ``normalized_shape``, with their mean and variance taken out, scaled and shifted.

    Raises:
        ShapeError: where the shapes do not fit.
    """
    shape = _trailing("layer_norm", normalized_shape, weight=weight, bias=bias)
    if tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, {', '.join(map(str, shape))}], "
            f"but got input of size{list(input.shape)}"
        )
    return _layer_norm(input, weight, bias, eps, len(shape))


def _trailing(name: str, normalized_shape: Any, **parameters: Tensor | None) -> tuple[int, ...]:
    """``normalized_shape`` as a tuple, where the weight and the bias have it, too."""
    given = normalized_shape
    if not isinstance(given, tuple | list):
        raise TypeError(
            f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, not {type(given).__name__}"
        )
    for position, each in enumerate(given):
        if not hasattr(each, "__index__"):
            raise TypeError(
                f"{name}(): argument 'normalized_shape' (position 2) must be tuple of ints, but found element of type "
                f"{type(each).__name__} at pos {position}"
            )
    shape = tuple(int(each) for each in given)
    if not shape:
        raise ShapeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            "normalized_shape = []"
        )
    for kind, values in parameters.items():
        if values is not None and tuple(values.shape) != shape:
            raise ShapeError(
                f"Expected {kind} to be of same shape as normalized_shape, but got {kind} of shape "
                f"{list(values.shape)} and normalized_shape = {list(shape)}"
            )
    return shape


def _rows(shape: tuple[int, ...], dims: int) -> View:
    """A row for everything that the last ``dims`` dims hold."""
    width = math.prod(shape[-dims:])
    return View((math.prod(shape[:-dims]), width), (1,), (1, width))


@op(aux=("average", "variance"), node="NativeLayerNorm")
def _layer_norm(input: Array, weight: Array | None, bias: Array | None, eps: float, dims: int) -> Any:
    """Normalises over the last ``dims`` dims. Source: Ba, Kiros and Hinton 2016."""
    require_dtypes("LayerNormKernelImpl", input, weight, bias)
    return standardise(input, weight, bias, eps, _rows(input.shape, dims))


@_layer_norm.gradients
def _layer_norm_gradients(
    g: Any, input: Any, weight: Any, average: Any, variance: Any, eps: float, dims: int, needs: Any
) -> tuple[Any, ...]:
    g_input, g_weight, g_bias = slopes(
        g, input, weight, average, variance, eps, needs, _rows(input.shape, dims)
    )
    return g_input, g_weight, in_shape(g_bias, input.shape[-dims:])


def _plain_layer_norm(
    input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, dims: int = 1
) -> Any:
    return plain(input, weight, bias, eps, _rows(tuple(input.shape), dims))


_layer_norm.composite = _plain_layer_norm


# Groups of channels


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Each group of channels of each sample, with its mean and variance taken out; a weight for each channel.

    Raises:
        ShapeError: where the channels cannot be grouped, or the weights are not one a channel.
    """
    if num_groups <= 0:
        raise ShapeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if input.ndim < 2:
        raise ShapeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    channels = input.shape[1]
    if channels % num_groups:
        raise ShapeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    for kind, values in (("weight", weight), ("bias", bias)):
        if values is not None and tuple(values.shape) != (channels,):
            raise ShapeError(
                f"Expected {kind} to be a vector of size equal to the number of channels in input, but got {kind} of "
                f"shape {list(values.shape)} and input of shape {list(input.shape)}"
            )
    return _group_norm(input, weight, bias, num_groups, eps)


def _grouped(shape: tuple[int, ...], groups: int) -> View:
    """(N, groups, channels of each, everything else)."""
    own = shape[1] // groups
    return View((shape[0], groups, own, math.prod(shape[2:])), (2, 3), (1, groups, own, 1))


@op(aux=("average", "variance"), node="NativeGroupNorm")
def _group_norm(input: Array, weight: Array | None, bias: Array | None, groups: int, eps: float) -> Any:
    """Normalises each group of channels. Source: Wu and He 2018."""
    require_dtypes("GroupNormKernelImpl", input, weight, bias)
    return standardise(input, weight, bias, eps, _grouped(input.shape, groups))


@_group_norm.gradients
def _group_norm_gradients(
    g: Any, input: Any, weight: Any, average: Any, variance: Any, eps: float, groups: int, needs: Any
) -> tuple[Any, ...]:
    view = _grouped(input.shape, groups)
    g_input, g_weight, g_bias = slopes(g, input, weight, average, variance, eps, needs, view)
    return g_input, g_weight, in_shape(g_bias, input.shape[1:2])


def _plain_group_norm(
    input: Any, weight: Any = None, bias: Any = None, groups: int = 1, eps: float = 1e-5
) -> Any:
    return plain(input, weight, bias, eps, _grouped(tuple(input.shape), groups))


_group_norm.composite = _plain_group_norm


# The root mean square


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Any:
    """The last dims divided by their root mean square, and scaled; ``eps`` is the dtype's own where it is not given.

    Raises:
        ShapeError: where the shapes do not fit.
        DataError: for an input of too few dims.
    """
    shape = _trailing("rms_norm", normalized_shape, weight=weight)
    if input.ndim < len(shape):
        raise DataError(f"Input tensor must have at least {len(shape)} dimensions, but got {input.ndim}")
    if tuple(input.shape[-len(shape) :]) != shape:
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*{', '.join(map(str, shape))}], but "
            f"got input of size{list(input.shape)}"
        )
    require_dtypes("rms_norm", input._array.real)
    if input.is_complex():
        return _plain_rms_norm(input, weight, eps, len(shape))
    if weight is not None and weight.dtype != input.dtype:
        kind = promote_types(input._array.dtype, weight._array.dtype)
        made = rms_norm(ops.to_dtype(input, kind), shape, ops.to_dtype(weight, kind), _small(input, eps))
        return ops.to_dtype(made, input._array.dtype)
    return _rms_norm(input, weight, _small(input, eps), len(shape))


def _small(input: Tensor, eps: float | None) -> float:
    """``eps``, or the distance of 1 to the next number: of float32 for half precision, which computes in that."""
    wider = np.promote_types(input._array.real.dtype, np.float32) if input.dtype.itemsize > 2 else np.float32
    return float(np.finfo(wider).eps) if eps is None else eps


@op(aux=("average", "variance"), node="Mul")
def _rms_norm(input: Array, weight: Array | None, eps: float, dims: int) -> Any:
    """Divides the last ``dims`` dims by their root mean square. Source: Zhang and Sennrich 2019."""
    return standardise(input, weight, None, eps, _rows(input.shape, dims), False)


@_rms_norm.gradients
def _rms_norm_gradients(
    g: Any, input: Any, weight: Any, average: Any, variance: Any, eps: float, dims: int, needs: Any
) -> tuple[Any, ...]:
    view = _rows(input.shape, dims)
    return slopes(g, input, weight, average, variance, eps, (*needs, False), view, False)[:2]


def _plain_rms_norm(input: Any, weight: Any = None, eps: float | None = None, dims: int = 1) -> Any:
    small = _small(input, eps) if eps is None else eps
    return plain(input, weight, None, small, _rows(tuple(input.shape), dims), False)


_rms_norm.composite = _plain_rms_norm
