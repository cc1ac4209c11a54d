"""The operations behind layers and losses: convolution, pooling, normalisation, softmax, negative log likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.op import IndexArray, op
from distrt.core.ops.dims import one_dim

Pair = tuple[int, int]


# Convolution. Three ops close under differentiation: the product itself, its gradient with respect to the input, and
# with respect to the weight; each one's gradients are the other two. All of them work on columns: (N, G, C/G*kh*kw, L),
# where L counts output positions, so that each is a matrix product per sample and group.


def _out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _windows(size: tuple[int, ...], kernel: Pair, stride: Pair, dilation: Pair) -> list[tuple[slice, slice]]:
    """For each kernel position, the slices of a padded plane that it reads."""
    (out_h, out_w), (kh, kw) = size, kernel
    return [
        (
            slice(i * dilation[0], i * dilation[0] + stride[0] * (out_h - 1) + 1, stride[0]),
            slice(j * dilation[1], j * dilation[1] + stride[1] * (out_w - 1) + 1, stride[1]),
        )
        for i in range(kh)
        for j in range(kw)
    ]


def _pad(input: Array, padding: Pair, value: float = 0.0) -> Array:
    if padding == (0, 0):
        return input
    n, c, h, w = input.shape
    ph, pw = padding
    padded = np.full((n, c, h + 2 * ph, w + 2 * pw), value, input.dtype)
    padded[:, :, ph : ph + h, pw : pw + w] = input
    return padded


def _columns(input: Array, kernel: Pair, out: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    n, c = input.shape[:2]
    padded = _pad(input, padding)
    columns = np.empty((n, c, kernel[0] * kernel[1], *out), input.dtype)
    for number, (rows, cols) in enumerate(_windows(out, kernel, stride, dilation)):
        columns[:, :, number] = padded[:, :, rows, cols]
    return columns.reshape(n, groups, -1, out[0] * out[1])


def _check_convolution(input: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Pair:
    if input.ndim != 4 or weight.ndim != 4:
        raise ShapeError(
            f"Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: {list(input.shape)} and weight "
            f"of size {list(weight.shape)}"
        )
    if input.shape[1] != weight.shape[1] * groups:
        raise ShapeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{weight.shape[1] * groups} channels, but got {input.shape[1]} channels instead"
        )
    out = tuple(_out_size(input.shape[n + 2], weight.shape[n + 2], stride[n], padding[n], dilation[n]) for n in (0, 1))
    if min(out) < 1:
        padded = [input.shape[n + 2] + 2 * padding[n] for n in (0, 1)]
        raise ShapeError(
            f"Calculated padded input size per channel: {padded}. Kernel size: {list(weight.shape[2:])}. Kernel size can't be "
            "greater than actual input size"
        )
    return out[0], out[1]


def _wide(array: Array) -> Array:
    """Half precision multiplies in float32."""
    return array.astype(np.float32) if array.dtype.itemsize == 2 else array


@op(dtype="same", autocast="lower", node="Convolution")
def convolution2d(input: Array, weight: Array, stride: Pair, padding: Pair, dilation: Pair, groups: int) -> Array:
    """Cross-correlation. Shape: (N, C, H, W), (O, C/groups, kh, kw) -> (N, O, H', W')."""
    out = _check_convolution(input, weight, stride, padding, dilation, groups)
    kernel = weight.shape[2:]
    columns = _columns(_wide(input), kernel, out, stride, padding, dilation, groups)
    matrix = _wide(weight).reshape(groups, weight.shape[0] // groups, -1)
    product = np.matmul(matrix, columns)  # (N, groups, O/groups, L)
    return product.reshape(input.shape[0], weight.shape[0], *out).astype(input.dtype, copy=False)


@op(dtype="same", node="ConvolutionBackward")
def convolution2d_input_gradient(
    input: Array, weight: Array, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """What the output's gradient ``input`` gives for the convolution's input of ``shape``."""
    g, out, kernel = _wide(input), input.shape[2:], weight.shape[2:]
    n, channels = shape[:2]
    matrix = _wide(weight).reshape(groups, weight.shape[0] // groups, -1)
    columns = np.matmul(matrix.transpose(0, 2, 1), g.reshape(n, groups, -1, out[0] * out[1]))
    columns = columns.reshape(n, channels, kernel[0] * kernel[1], *out)
    (ph, pw), (h, w) = padding, shape[2:]
    padded = np.zeros((n, channels, h + 2 * ph, w + 2 * pw), columns.dtype)
    for number, (rows, cols) in enumerate(_windows(out, kernel, stride, dilation)):
        padded[:, :, rows, cols] += columns[:, :, number]
    return np.ascontiguousarray(padded[:, :, ph : ph + h, pw : pw + w]).astype(input.dtype, copy=False)


@op(dtype="same", node="ConvolutionBackward")
def convolution2d_weight_gradient(
    input: Array, g_out: Array, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Array:
    """What the output's gradient ``g_out`` gives for the convolution's weight of ``shape``."""
    n, out, kernel = input.shape[0], g_out.shape[2:], (shape[2], shape[3])
    columns = _columns(_wide(input), kernel, out, stride, padding, dilation, groups)
    g = _wide(g_out).reshape(n, groups, shape[0] // groups, -1)
    return np.matmul(g, columns.transpose(0, 1, 3, 2)).sum(axis=0).reshape(shape).astype(input.dtype, copy=False)


convolution2d.gradient(
    input=lambda g, weight, input_meta, stride, padding, dilation, groups: convolution2d_input_gradient(
        g, weight, input_meta.shape, stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution2d_weight_gradient(
        input, g, weight_meta.shape, stride, padding, dilation, groups
    ),
)
convolution2d_input_gradient.gradient(
    input=lambda g, weight, stride, padding, dilation, groups: convolution2d(g, weight, stride, padding, dilation, groups),
    weight=lambda g, input, weight_meta, stride, padding, dilation, groups: convolution2d_weight_gradient(
        g, input, weight_meta.shape, stride, padding, dilation, groups
    ),
)
convolution2d_weight_gradient.gradient(
    input=lambda g, g_out, input_meta, stride, padding, dilation, groups: convolution2d_input_gradient(
        g_out, g, input_meta.shape, stride, padding, dilation, groups
    ),
    g_out=lambda g, input, stride, padding, dilation, groups: convolution2d(input, g, stride, padding, dilation, groups),
)


# Max pooling: the op keeps which position of each window won; routing a gradient there and picking from there are
# each other's derivative.


def _pool_size(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:  # the last window must start inside the input
        out -= 1
    return out


@op(node="MaxPool2DWithIndices", aux=("winner",))
def max_pool2d(input: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Any:
    """The largest element of each window. Shape: (N, C, H, W) -> (N, C, H', W')."""
    if input.ndim != 4:
        raise ShapeError(f"max_pool2d: Expected 3D or 4D (batch mode) tensor, got {list(input.shape)}")
    for n in (0, 1):
        if padding[n] > kernel[n] // 2:
            raise ShapeError(
                f"max_pool2d: pad should be at most half of effective kernel size, but got pad={padding[n]} for a kernel of {kernel[n]}"
            )
    out = tuple(
        _pool_size(input.shape[n + 2], kernel[n], stride[n], padding[n], dilation[n], ceil_mode) for n in (0, 1)
    )
    if min(out) < 1:
        raise ShapeError(f"max_pool2d: Given input size {list(input.shape)}, the output size is too small: {list(out)}")
    padded = _cover(input, out, kernel, stride, padding, dilation)
    best = winner = None
    for number, (rows, cols) in enumerate(_windows(out, kernel, stride, dilation)):
        candidate = padded[:, :, rows, cols]
        if best is None or winner is None:
            best, winner = candidate.copy(), np.zeros(candidate.shape, np.int32)
        else:
            better = (candidate > best) | np.isnan(candidate)
            np.copyto(best, candidate, where=better)
            winner[better] = number
    return best, winner


def _cover(input: Array, out: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The input padded with the lowest value on the left, and as far right as the last window reaches."""
    reach = [(out[n] - 1) * stride[n] + dilation[n] * (kernel[n] - 1) + 1 for n in (0, 1)]
    after = [max(0, reach[n] - padding[n] - input.shape[n + 2]) for n in (0, 1)]
    if padding == (0, 0) and after == [0, 0]:
        return input
    lowest = -np.inf if input.dtype.kind in "fV" else np.iinfo(input.dtype).min
    n, c, h, w = input.shape
    padded = np.full((n, c, h + padding[0] + after[0], w + padding[1] + after[1]), lowest, input.dtype)
    padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = input
    return padded


@op()
def max_pool2d_route(
    input: Array, winner: IndexArray, shape: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Zeros of ``shape`` with each element added where its window's winner is."""
    out = input.shape[2:]
    canvas = np.zeros(shape, input.dtype)
    padded = _cover(canvas, out, kernel, stride, padding, dilation)
    routed = np.zeros(padded.shape, input.dtype)
    for number, (rows, cols) in enumerate(_windows(out, kernel, stride, dilation)):
        routed[:, :, rows, cols] += np.where(winner == number, input, np.zeros((), input.dtype))
    top, left = padding
    return np.ascontiguousarray(routed[:, :, top : top + shape[2], left : left + shape[3]])


@op()
def max_pool2d_pick(
    input: Array, winner: IndexArray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """The elements of ``input`` at each window's winner."""
    out = winner.shape[2:]
    padded = _cover(input, out, kernel, stride, padding, dilation)
    picked = np.zeros(winner.shape, input.dtype)
    for number, (rows, cols) in enumerate(_windows(out, kernel, stride, dilation)):
        np.copyto(picked, padded[:, :, rows, cols], where=winner == number)
    return picked


max_pool2d.gradient(
    input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool2d_route(
        g, winner, input_meta.shape, kernel, stride, padding, dilation
    )
)
max_pool2d_route.gradient(
    input=lambda g, winner, kernel, stride, padding, dilation: max_pool2d_pick(g, winner, kernel, stride, padding, dilation)
)
max_pool2d_pick.gradient(
    input=lambda g, winner, input_meta, kernel, stride, padding, dilation: max_pool2d_route(
        g, winner, input_meta.shape, kernel, stride, padding, dilation
    )
)


# Batch normalisation over every dim but the second.


def _channel_view(values: Any, ndim: int) -> Any:
    return ops.reshape(values, (1, -1, *[1] * (ndim - 2)))


def _batch_axes(ndim: int) -> tuple[int, ...]:
    return (0, *range(2, ndim))


@op(autocast="full", aux=("inverse_std",), node="NativeBatchNorm")
def batch_norm(input: Array, weight: Array | None, bias: Array | None, eps: float) -> Any:
    """Each channel with its batch's mean and (biased) variance taken out, scaled and shifted.

    Returns the output, and the batch's mean and biased variance per channel.
    """
    axes, ndim = _batch_axes(input.ndim), input.ndim
    work = _wide(input)
    average = work.mean(axis=axes, keepdims=True)
    centred = work - average
    variance = np.square(centred).mean(axis=axes, keepdims=True)
    inverse_std = 1 / np.sqrt(variance + np.asarray(eps, work.dtype))
    out = np.multiply(centred, inverse_std, out=centred)
    if weight is not None:
        out *= _channel_view(weight, ndim)
    if bias is not None:
        out += _channel_view(bias, ndim)
    return out.astype(input.dtype, copy=False), average.reshape(-1), variance.reshape(-1), inverse_std


batch_norm.outputs("output", "mean", "variance")


@batch_norm.gradients
def _batch_norm_gradients(
    g_output: Any, input: Any, weight: Any, mean: Any, inverse_std: Any, needs: Any
) -> tuple[Any, ...]:
    """Source: Ioffe and Szegedy 2015, section 3 (the mean and variance are functions of the input)."""
    axes, ndim = _batch_axes(input.ndim), input.ndim
    g = _wide(g_output)
    normal = (_wide(input) - _channel_view(mean, ndim)) * inverse_std
    g_bias = g.sum(axis=axes)
    g_weight = (g * normal).sum(axis=axes)
    g_input = None
    if needs[0]:
        count = input.size // input.shape[1]
        scale = inverse_std if weight is None else inverse_std * _channel_view(_wide(weight), ndim)
        g_input = normal
        g_input *= _channel_view(g_weight / -count, ndim)
        g_input += g
        g_input -= _channel_view(g_bias / count, ndim)
        g_input *= scale
    return g_input, g_weight if needs[1] else None, g_bias if needs[2] else None


def _plain_batch_norm(input: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    axes = _batch_axes(input.ndim)
    centred = ops.sub(input, ops.mean(input, axes, True))
    out = ops.mul(centred, ops.rsqrt(ops.add(ops.mean(ops.mul(centred, centred), axes, True), eps)))
    out = out if weight is None else ops.mul(out, _channel_view(weight, input.ndim))
    return out if bias is None else ops.add(out, _channel_view(bias, input.ndim))


batch_norm.composite = _plain_batch_norm


# Softmax and the losses on it.


@op(dtype="float", autocast="full")
def softmax(input: Array, dim: int) -> Array:
    """Exponentials along ``dim``, divided by their sum; shifted by the maximum so that they cannot overflow."""
    axis = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return np.ones_like(input)
    work = _wide(input)
    powers = np.exp(work - work.max(axis=axis, keepdims=True))
    powers /= powers.sum(axis=axis, keepdims=True)
    return powers.astype(input.dtype, copy=False)


softmax.gradient(
    input=lambda g, out, dim: ops.mul(out, ops.sub(g, ops.sum(ops.mul(g, out), dim, True)))
)


@op(dtype="float", autocast="full")
def log_softmax(input: Array, dim: int) -> Array:
    """Log of the softmax along ``dim``, shifted by the maximum so that it cannot overflow.

    Shape: any -> same. Autocast: runs in float32.
    """
    axis = one_dim(dim, input.ndim)
    if input.ndim == 0:
        return np.zeros_like(input)
    work = _wide(input)
    shifted = work - work.max(axis=axis, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    return shifted.astype(input.dtype, copy=False)


log_softmax.gradient(input=lambda g, out, dim: ops.sub(g, ops.mul(ops.exp(out), ops.sum(g, dim, True))))


@op(node="NllLoss", aux=("scale",))
def nll_loss(
    input: Array, target: IndexArray, weight: IndexArray, ignore_index: int, reduction: str
) -> Any:
    """The negative of ``input`` at each target class, weighted; reduced by "mean", "sum" or "none".

    Shape: (N, C, …) and (N, …) -> () or (N, …). The mean divides by the sum of the weights, as PyTorch's does.
    ``scale`` is what the output's gradient is multiplied with at each target.
    """
    _check_targets(input, target, ignore_index)
    counted = target != ignore_index
    safe = np.where(counted, target, 0)
    scale = counted.astype(input.dtype) if weight is None else np.where(counted, weight[safe], 0).astype(input.dtype)
    losses = -np.take_along_axis(input, np.expand_dims(safe, 1), 1).squeeze(1)
    losses = np.where(counted, losses * scale, np.zeros((), input.dtype))
    if reduction == "none":
        return losses, scale
    if reduction == "sum":
        return losses.sum(dtype=input.dtype), scale
    total = scale.sum(dtype=input.dtype)
    return np.true_divide(losses.sum(dtype=input.dtype), total), np.true_divide(scale, total)


def _check_targets(input: Array, target: Array, ignore_index: int) -> None:
    if target.dtype.kind not in "iu":
        raise DtypeError(f"expected scalar type Long for the class indices of the target, but found {target.dtype}")
    if input.ndim < 2 or (input.shape[0], *input.shape[2:]) != target.shape:
        raise ShapeError(
            f"Expected input batch_size ({input.shape[0] if input.ndim else 0}) to match target batch_size "
            f"({target.shape[0] if target.ndim else 0}): the input is {list(input.shape)}, so the target must be "
            f"{[*input.shape[:1], *input.shape[2:]]}, but it is {list(target.shape)}"
        )
    wrong = (target != ignore_index) & ((target < 0) | (target >= input.shape[1]))
    if wrong.any():
        raise DimensionError(f"Target {int(target[wrong].flat[0])} is out of bounds for {input.shape[1]} classes.")


nll_loss.gradient(
    input=lambda g, target, scale, input_meta, ignore_index: nll_loss_route(
        g, target, scale, input_meta.shape, ignore_index
    )
)


@op()
def nll_loss_route(input: Array, target: IndexArray, scale: IndexArray, shape: tuple[int, ...], ignore_index: int) -> Array:
    """Zeros of ``shape`` with ``-input * scale`` at each target."""
    routed = np.zeros(shape, input.dtype)
    safe = np.expand_dims(np.where(target == ignore_index, 0, target), 1)
    np.put_along_axis(routed, safe, np.expand_dims(np.broadcast_to(-input * scale, target.shape), 1), 1)
    return routed


nll_loss_route.gradient(
    input=lambda g, target, scale, input_meta, ignore_index: _unroute(g, target, scale, input_meta.shape, ignore_index)
)


def _unroute(g: Any, target: Any, scale: Any, shape: tuple[int, ...], ignore_index: int) -> Any:
    safe = np.expand_dims(np.where(_plain(target) == ignore_index, 0, _plain(target)), 1)
    picked = ops.mul(ops.squeeze(ops.along_dim_pick(g, safe, 1), 1), -scale)
    return picked if shape else ops.sum(picked)


def _plain(value: Any) -> Array:
    return value._array if hasattr(value, "_array") else value
