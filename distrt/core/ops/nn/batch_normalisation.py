"""Normalisation of each channel by a batch's statistics or by running ones, and of each channel of each sample.

The running statistics are moved here, outside the graph. Called by ``nn/functional/normalisation.py``.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu
from distrt.core.errors import DataError, DimensionError, DtypeError, ShapeError
from distrt.core.gpu.places import at
from distrt.core.kernels import channels, on_gpu
from distrt.core.layouts import channels_last, seen
from distrt.core.modes import used
from distrt.core.op import IndexArray, op
from distrt.core.ops.nn.standardising import by_channel, in_shape, plain, require_dtypes, slopes, standardise
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.pointwise.half_rules import widened
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import Tensor
from distrt.core.tensors.history import require_writeable, write
from distrt.core.tensors.versions import note_change

__all__ = [
    "batch_norm",
    "instance_norm",
]

_BATCH = (0, 2)
_SAMPLE = (2,)


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """Normalises each channel: with the batch's statistics in training, with the running ones otherwise.

    In training the running statistics move towards the batch's mean and unbiased variance by ``momentum``.

    Raises:
        ShapeError: for parameters that are not one a channel, and where running statistics are missing.
        DataError: where one of the two running statistics is given alone.
    """
    _require_sizes(input, weight, bias, running_mean, running_var, training)
    weight, bias = (
        each if each is None or each.ndim == 1 else ops.reshape(each, (-1,)) for each in (weight, bias)
    )
    if not training:
        return _batch_norm_by_running(input, weight, bias, running_mean, running_var, eps)
    _require_both(running_mean, running_var)
    require_dtypes("batch_norm", seen(input), *[_plain(each) for each in (running_mean, running_var)])
    unbiased = _unbiased(input.numel() // max(1, input.shape[1]))
    if running_mean is not None and running_var is not None and _move_along(input, running_mean, running_var):
        moving = running_mean, running_var, momentum, unbiased
        out, _, _ = _batch_norm(input, weight, bias, eps, *moving)
        note_change(running_mean._counter)
        note_change(running_var._counter)
        return out
    out, mean, variance = _batch_norm(input, weight, bias, eps)
    if input.numel():
        move_both(running_mean, running_var, mean._array, variance._array, momentum, unbiased)
    return out


def _move_along(input: Tensor, *running: Tensor) -> bool:
    """Whether the launch that makes lines of a batch's statistics moves the running ones, too."""
    if not used.gpu or not on_gpu.channels.suits(image := seen(input), _BATCH):
        return False
    if not on_gpu.channels.move_along(image, *(each._array for each in running)):
        return False
    for each in running:
        require_writeable(each)
    return True


def _plain(value: Tensor | None) -> Array | None:
    return None if value is None else value._array


def _unbiased(count: int) -> float:
    """What a variance that was divided by ``count`` is multiplied with."""
    return count / (count - 1) if count > 1 else math.nan


def _require_sizes(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
) -> None:
    channels = input.shape[1] if input.ndim > 1 else 0
    for name, values in (
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("weight", weight),
        ("bias", bias),
    ):
        if values is not None and values.numel() != channels:
            raise ShapeError(f"{name} should contain {channels} elements not {values.numel()}")
        if values is None and name.startswith("running") and not training:
            raise ShapeError(f"{name} must be defined in evaluation mode")
    if input.ndim < 2:
        raise DimensionError(
            f"Dimension out of range (expected to be in range of [-1, 0], but got 1): an input of {input.ndim} dims "
            "has no channels"
        )
    if weight is not None and bias is not None and weight.dtype != bias.dtype:
        raise DtypeError(f"expected scalar type {scalar_type(weight)} but found {scalar_type(bias)}")


def _require_both(running_mean: Tensor | None, running_var: Tensor | None) -> None:
    if (running_mean is None) != (running_var is None):
        raise DataError("running_mean and running_var must either both be None or neither be None")


def move_both(
    running_mean: Tensor | None,
    running_var: Tensor | None,
    mean: Array,
    variance: Array,
    momentum: float,
    unbiased: float,
) -> None:
    """Both running statistics' steps towards a batch's, in place."""
    if running_mean is None or running_var is None:
        return
    with at(mean) if used.gpu else nullcontext():
        if is_on_gpu(mean) and _moved_on_gpu(running_mean, running_var, mean, variance, momentum, unbiased):
            return
        move_running(running_mean, mean, momentum)
        move_running(running_var, variance * unbiased, momentum)


def _moved_on_gpu(running_mean: Tensor, running_var: Tensor, *found: Any) -> bool:
    """Both in one launch, where that can be done."""
    for each in (running_mean, running_var):
        require_writeable(each)
    if not on_gpu.channels.move_running(running_mean._array, running_var._array, *found):
        return False
    for each in (running_mean, running_var):
        note_change(each._counter)
    return True


def move_running(running: Tensor | None, found: Array, momentum: float) -> None:
    """A running statistic's step towards what was found: ``(1 - momentum) * running + momentum * found``, in place."""
    if running is not None:
        before = running._array
        target = found.reshape(before.shape).astype(before.dtype, copy=False)
        write(running, before * (1 - momentum) + target * momentum)


@op(node="NativeBatchNorm", layouts="follows")
def _batch_norm(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    running_mean: IndexArray = None,
    running_var: IndexArray = None,
    momentum: float = 0.0,
    unbiased: float = 1.0,
) -> Any:
    """Each channel with its batch's mean and (biased) variance taken out, scaled and shifted.

    Running statistics that are given (see `_move_along`) are moved, in place. Returns the output, and the batch's mean
    and biased variance. Source: Ioffe and Szegedy 2015.
    """
    require_dtypes("batch_norm", input, weight, bias)
    if not channels.suits(input):
        moving = None if running_mean is None else (running_mean, running_var, momentum, unbiased)
        return standardise(input, weight, bias, eps, by_channel(input.shape, _BATCH), moving=moving)
    mean, variance = channels.moments(input)
    scale = _scale(variance, eps) if weight is None else _scale(variance, eps) * wide(weight)
    out = channels.affine(input, mean, scale, np.zeros_like(mean) if bias is None else wide(bias))
    return out, mean.reshape(1, -1, 1), variance.reshape(1, -1, 1)


_batch_norm.outputs("output", "mean", "variance")


@_batch_norm.gradients
def _batch_norm_gradients(
    g_output: Any, input: Any, weight: Any, mean: Any, variance: Any, eps: float, needs: Any
) -> tuple[Any, ...]:
    if needs[0] and channels.suits(input):
        return _image_slopes(g_output, input, weight, mean.reshape(-1), variance.reshape(-1), eps)
    return _channel_slopes(g_output, input, weight, mean, variance, eps, needs, _BATCH)


def _image_slopes(
    g: Array, input: Array, weight: Array | None, mean: Array, variance: Array, eps: float
) -> tuple[Any, ...]:
    """As ``slopes``, of images whose channels lie side by side."""
    g = channels_last(g)
    pixels = input.size // input.shape[1]
    push, product = channels.products(g, input, mean)
    inverse = _scale(variance, eps).astype(np.float64)
    pull = product * inverse
    scale = inverse if weight is None else inverse * wide(weight)
    g_input = channels.affine(
        input, mean, -scale * inverse * pull / pixels, -scale * push / pixels, values=g, scale=scale
    )
    return g_input, None if weight is None else pull.astype(np.float32), push.astype(np.float32)


def _channel_slopes(
    g: Array,
    input: Array,
    weight: Array | None,
    mean: Array,
    variance: Array,
    eps: float,
    needs: Any,
    dims: Any,
) -> tuple[Any, ...]:
    view = by_channel(input.shape, dims)
    g_input, g_weight, g_bias = slopes(g, input, weight, mean, variance, eps, needs, view)
    return g_input, g_weight, in_shape(g_bias, input.shape[1:2])


def _plain_batch_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return plain(input, weight, bias, eps, by_channel(tuple(input.shape), _BATCH))


_batch_norm.composite = _plain_batch_norm


# By running statistics: a line for each channel


@op(node="NativeBatchNorm", layouts="follows")
def _batch_norm_by_running(
    input: Array,
    weight: Array | None,
    bias: Array | None,
    mean: IndexArray,
    variance: IndexArray,
    eps: float,
) -> Array:
    """Each channel minus ``mean``, over the root of ``variance``, scaled and shifted; these two have no gradient."""
    require_dtypes("batch_norm", input, weight, bias, mean, variance)
    if used.gpu and on_gpu.channels.suits(input, _BATCH):
        return on_gpu.channels.by_running(input, weight, bias, mean, variance, eps)
    scale = _scale(variance, eps)
    if weight is not None:
        scale = scale * wide(weight)
    if channels.suits(input):
        known = wide(mean).reshape(-1)
        return channels.affine(input, known, scale, np.zeros_like(scale) if bias is None else wide(bias))
    shift = -wide(mean).reshape(-1) * scale
    if bias is not None:
        shift = shift + wide(bias)
    sizes = (-1, *[1] * (input.ndim - 2))
    out = wide(input) * scale.reshape(sizes)
    out += shift.reshape(sizes)
    return rounded(out, input.dtype)


def _scale(variance: Any, eps: float) -> Array:
    known = wide(getattr(variance, "_array", variance)).reshape(-1)
    return np.true_divide(1, np.sqrt(known + known.dtype.type(eps)), dtype=known.dtype)


@_batch_norm_by_running.gradients
def _by_running_gradients(
    g: Any, input: Any, input_meta: Any, weight: Any, mean: Any, variance: Any, eps: float, needs: Any
) -> tuple[Any, ...]:
    if used.gpu and g.dtype == input_meta.dtype and on_gpu.channels.suits(g, _BATCH):
        return on_gpu.channels.slopes_by_running(g, input, weight, mean, variance, eps, needs)
    return (
        _input_slope(g, weight, variance, eps) if needs[0] else None,
        _weight_slope(g, input, mean, variance, eps) if needs[1] else None,
        _by_channel_sum(widened(g)) if needs[2] else None,
    )


_batch_norm_by_running.needs_of_gradients = {"input": ("weight",), "weight": ("input",)}


def _plain_by_running(
    input: Any,
    weight: Any = None,
    bias: Any = None,
    mean: Any = None,
    variance: Any = None,
    eps: float = 1e-5,
) -> Any:
    out = _input_slope(ops.sub(widened(input), _in_channels(mean, input.ndim)), weight, variance, eps)
    if bias is not None:
        out = ops.add(out, ops.reshape(widened(bias), (-1, *[1] * (input.ndim - 2))))
    return ops.to_dtype(out, getattr(input, "_array", input).dtype)


_batch_norm_by_running.composite = _plain_by_running


def _in_channels(statistic: Any, ndim: int) -> Array:
    """A running statistic beside images of so many dims."""
    return wide(getattr(statistic, "_array", statistic)).reshape(-1, *[1] * (ndim - 2))


def _input_slope(g: Any, weight: Any, variance: Any, eps: float) -> Any:
    scale: Any = _scale(variance, eps)
    if weight is not None:
        scale = ops.mul(widened(weight), scale)
    return ops.mul(widened(g), ops.reshape(scale, (-1, *[1] * (g.ndim - 2))))


def _weight_slope(g: Any, input: Any, mean: Any, variance: Any, eps: float) -> Any:
    scale = _scale(variance, eps).reshape(-1, *[1] * (g.ndim - 2))
    normal = ops.mul(ops.sub(widened(input), _in_channels(mean, g.ndim)), scale)
    return _by_channel_sum(ops.mul(widened(g), normal))


def _by_channel_sum(g: Any) -> Any:
    return ops.sum(g, (0, *range(2, g.ndim)))


# Each channel of each sample


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Any:
    """Normalises each channel of each sample, by its own statistics or by the running ones of the channel.

    With its own, the running statistics move towards their means over the batch.

    Raises:
        ShapeError: for parameters that are not one a channel, and where running statistics are missing.
        DataError: where one of the two running statistics is given alone.
    """
    if not use_input_stats and (running_mean is None or running_var is None):
        raise ShapeError("Expected running_mean and running_var to be defined when use_input_stats is false")
    _require_both(running_mean, running_var)
    _require_sizes_of_samples(
        input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var
    )
    if not use_input_stats:
        return batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)
    out, mean, variance = _instance_norm(input, weight, bias, eps)
    if running_mean is not None and input.numel():
        found, varies = (each._array.mean(axis=0) for each in (mean, variance))
        move_both(running_mean, running_var, found, varies, momentum, _unbiased(math.prod(input.shape[2:])))
    return out


def _require_sizes_of_samples(input: Tensor, **parameters: Tensor | None) -> None:
    if input.ndim < 2:
        raise ShapeError(f"instance_norm: expected an input of at least 2 dims, got {input.ndim}")
    samples, channels = input.shape[:2]
    for name, values in parameters.items():
        if values is not None and values.numel() != channels:
            raise ShapeError(
                f"{name} should contain {samples * channels} elements not {samples * values.numel()}: one for each of "
                f"{channels} channels, for each of {samples} samples"
            )


@op(node="View")  # in PyTorch it ends by giving the batch norm of a reshaped input its shape back
def _instance_norm(input: Array, weight: Array | None, bias: Array | None, eps: float) -> Any:
    """As ``_batch_norm``, with statistics of each sample. Source: Ulyanov, Vedaldi and Lempitsky 2016."""
    require_dtypes("batch_norm", input, weight, bias)
    return standardise(input, weight, bias, eps, by_channel(input.shape, _SAMPLE))


_instance_norm.outputs("output", "mean", "variance")


@_instance_norm.gradients
def _instance_norm_gradients(
    g_output: Any, input: Any, weight: Any, mean: Any, variance: Any, eps: float, needs: Any
) -> tuple[Any, ...]:
    return _channel_slopes(g_output, input, weight, mean, variance, eps, needs, _SAMPLE)


def _plain_instance_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    return plain(input, weight, bias, eps, by_channel(tuple(input.shape), _SAMPLE))


_instance_norm.composite = _plain_instance_norm
