"""Pooling: over windows, and to given sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.convolution import each, with_batch
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value


@rule("nn.functional.max_pool1d", "nn.functional.max_pool2d", "nn.functional.max_pool3d")
def _max_pool(g: Drawing, call: Call) -> Any:
    spatial = int(call.target[-2])
    value, added = with_batch(g, call.input, spatial)
    kernel = each(call.kernel_size, spatial)
    options: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": each(call.stride or kernel, spatial),
        "pads": each(call.padding, spatial) * 2,
        "dilations": each(call.dilation, spatial),
    }
    if call.ceil_mode:
        options |= _ends(g, call, spatial, options)
    if not call.return_indices:
        value, options = _padded_far(g, value, kernel, options, call.result.dtype)
        found = g.node("MaxPool", value, **options)
        return g.squeeze(found, 0) if added else found
    if _padded_far(g, value, kernel, options, call.output.dtype)[0] is not value:
        raise g.unsupported("max pooling with indices that is padded by more than its kernel")
    best, where = g.nodes_of("MaxPool", 2, value, **options)
    where = _within_planes(g, call.input, where, spatial)
    return [g.squeeze(one, 0) if added else one for one in (best, where)]


def _padded_far(
    g: Drawing, value: Any, kernel: list[int], options: dict[str, Any], dtype: dt.dtype
) -> tuple[Any, dict[str, Any]]:
    """ONNX's pooling pads by less than a kernel; what needs more is padded before."""
    pads, spatial = options["pads"], len(kernel)
    if all(pad < size for pad, size in zip(pads, kernel * 2, strict=True)):
        return value, options
    low = g.scalar(np.finfo(dtype.numpy).min, dtype)
    rows = g.integers(0, 0, *pads[:spatial], 0, 0, *pads[spatial:])
    return g.node("Pad", value, rows, low, mode="constant"), {**options, "pads": [0] * 2 * spatial}


def _ends(g: Drawing, call: Call, spatial: int, options: dict[str, Any]) -> dict[str, Any]:
    """Padding at the end that gives as many windows as PyTorch has with ``ceil_mode``: none begins in that padding."""
    sizes = g.dims(call.input)[-spatial:]
    if None in sizes:
        return {"ceil_mode": 1}
    begins = options["pads"][:spatial]
    ends = []
    for n, size in enumerate(sizes):
        window = options["dilations"][n] * (options["kernel_shape"][n] - 1) + 1
        needed = (call.output.shape[n - spatial] - 1) * options["strides"][n] + window
        ends.append(max(needed - (size or 0) - begins[n], 0))
    return {"pads": begins + ends}


def _within_planes(g: Drawing, value: Value, where: str, spatial: int) -> str:
    """ONNX counts places over all of the input, PyTorch within a plane."""
    sizes = g.rows_of(value)[-spatial:]
    if all(isinstance(one, int) for one in sizes):
        return g.node("Mod", where, g.scalar(math.prod(sizes), dt.int64))
    return g.node("Mod", where, g.reduce("ReduceProd", g.row(sizes), [0]))


@rule("nn.functional.avg_pool1d", "nn.functional.avg_pool2d", "nn.functional.avg_pool3d")
def _avg_pool(g: Drawing, call: Call) -> Any:
    spatial = int(call.target[-2])
    value, added = with_batch(g, call.input, spatial)
    kernel, padding = each(call.kernel_size, spatial), each(call.padding, spatial)
    stride = each(call.stride or kernel, spatial)
    divisor = call.get("divisor_override")
    options = {"kernel_shape": kernel, "strides": stride, "pads": padding * 2}
    if call.ceil_mode:
        options |= _ends(g, call, spatial, {**options, "dilations": [1] * spatial})
        if "ceil_mode" in options and (divisor or any(padding)):
            raise g.unsupported(
                "avg_pool with ceil_mode over dynamic sizes, with padding or a divisor of its own"
            )
    counts_all = call.count_include_pad or divisor or call.ceil_mode
    found = g.node("AveragePool", value, **options, count_include_pad=int(bool(counts_all)))
    dtype = call.result.dtype
    if divisor:
        found = g.node("Mul", found, g.scalar(math.prod(kernel) / divisor, dtype))
    elif call.ceil_mode and "ceil_mode" not in options:
        found = g.node(
            "Mul", found, g.constant(_shares(call, spatial, kernel, stride, padding).astype(dtype.numpy))
        )
    return g.squeeze(found, 0) if added else found


def _shares(call: Call, spatial: int, kernel: list[int], stride: list[int], padding: list[int]) -> Any:
    """By how much less windows are divided that reach over the end of the padded input, for every place."""
    shares: Any = np.ones(())
    for n in range(spatial):
        size, begins = (
            call.input.shape[n - spatial],
            np.arange(call.result.shape[n - spatial]) * stride[n] - padding[n],
        )
        ends = np.minimum(begins + kernel[n], size + padding[n])
        if not call.count_include_pad:
            begins, ends = np.maximum(begins, 0), np.minimum(ends, size)
        shares = np.multiply.outer(shares, kernel[n] / (ends - begins))
    return shares


@rule(
    "nn.functional.adaptive_avg_pool1d",
    "nn.functional.adaptive_avg_pool2d",
    "nn.functional.adaptive_avg_pool3d",
)
def _adaptive_avg_pool(g: Drawing, call: Call) -> Any:
    spatial = int(call.target[-2])
    wanted = call.result.shape[-spatial:]
    if all(size == 1 for size in wanted):
        return g.reduce("ReduceMean", call.input, list(range(-spatial, 0)), True)
    sizes = _fixed(g, call, spatial)
    if all(size % want == 0 for size, want in zip(sizes, wanted, strict=True)):
        value, added = with_batch(g, call.input, spatial)
        kernel = [size // want for size, want in zip(sizes, wanted, strict=True)]
        found = g.node("AveragePool", value, kernel_shape=kernel, strides=kernel)
        return g.squeeze(found, 0) if added else found
    return averaged(g, call, sizes, wanted)


def averaged(g: Drawing, call: Call, sizes: Sequence[int], wanted: Sequence[int]) -> Any:
    """Uneven windows, by one matrix for each dim, whose rows hold the shares of a window's elements."""
    value: Any = call.input
    rank, spatial = len(call.input.shape), len(sizes)
    for number, (size, want) in enumerate(zip(sizes, wanted, strict=True)):
        shares = np.zeros((size, want), call.result.dtype.numpy)
        for place, (begin, end) in enumerate(_windows(size, want)):
            shares[begin:end, place] = 1 / (end - begin)
        axis = rank - spatial + number
        order = [n for n in range(rank) if n != axis] + [axis]
        turned = value if axis == rank - 1 else g.node("Transpose", value, perm=order)
        value = g.node("MatMul", turned, g.constant(shares))
        if axis != rank - 1:
            value = g.node("Transpose", value, perm=[int(n) for n in np.argsort(order)])
    return value


def _windows(size: int, want: int) -> list[tuple[int, int]]:
    return [(place * size // want, -(-(place + 1) * size // want)) for place in range(want)]


@rule(
    "nn.functional.adaptive_max_pool1d",
    "nn.functional.adaptive_max_pool2d",
    "nn.functional.adaptive_max_pool3d",
)
def _adaptive_max_pool(g: Drawing, call: Call) -> Any:
    spatial = int(call.target[-2])
    output = call.output
    wanted = output.shape[-spatial:]
    indices = call.get("return_indices", False)
    if all(size == 1 for size in wanted) and not indices:
        return g.reduce("ReduceMax", call.input, list(range(-spatial, 0)), True)
    sizes = _fixed(g, call, spatial)
    if all(size % want == 0 for size, want in zip(sizes, wanted, strict=True)):
        value, added = with_batch(g, call.input, spatial)
        kernel = [size // want for size, want in zip(sizes, wanted, strict=True)]
        found = g.nodes_of("MaxPool", 1 + indices, value, kernel_shape=kernel, strides=kernel)
        if indices:
            found[1] = _within_planes(g, call.input, found[1], spatial)
        found = [g.squeeze(one, 0) if added else one for one in found]
        return found if indices else found[0]
    if indices:
        raise g.unsupported("indices of adaptive max pooling with uneven windows")
    value = call.input
    for number, (size, want) in enumerate(zip(sizes, wanted, strict=True)):
        axis = len(call.input.shape) - spatial + number
        parts = [
            g.reduce("ReduceMax", g.slice(value, axis, begin, end), [axis], True)
            for begin, end in _windows(size, want)
        ]
        value = parts[0] if want == 1 else g.node("Concat", *parts, axis=axis)
    return value


def _fixed(g: Drawing, call: Call, spatial: int) -> list[int]:
    return [g.fixed(call.input, dim, "adaptive pooling to other sizes than 1") for dim in range(-spatial, 0)]


@rule("nn.functional.max_unpool1d", "nn.functional.max_unpool2d", "nn.functional.max_unpool3d")
def _max_unpool(g: Drawing, call: Call) -> Any:
    spatial = int(call.target[-2])
    front = g.rows_of(call.input)[: len(call.input.shape) - spatial]
    sizes = [g.fixed(call.result, dim, "max_unpool") for dim in range(-spatial, 0)]
    flat = [g.reshape(one, [*front, math.prod(one.shape[-spatial:])]) for one in (call.input, call.indices)]
    empty = g.node("Expand", g.scalar(0, call.result.dtype), g.row([*front, math.prod(sizes)]))
    return g.reshape(g.node("ScatterElements", empty, flat[1], flat[0], axis=len(front)), [*front, *sizes])
