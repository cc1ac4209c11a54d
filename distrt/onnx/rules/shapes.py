"""Other sizes, other orders of dims, parts put together and taken apart."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.convolution import each, with_batch
from distrt.onnx.rules.table import Call, dim_of, rule
from distrt.tracing import Value


@rule(
    *"clone contiguous resolve_conj resolve_neg positive Tensor.detach Tensor.data Tensor.cpu to_dtype".split(),
    *"Tensor.to Tensor.type Tensor.type_as Tensor.float Tensor.double Tensor.half Tensor.bfloat16 Tensor.int".split(),
    *"Tensor.long Tensor.short Tensor.char Tensor.byte Tensor.bool".split(),
)
def _cast(g: Drawing, call: Call) -> Any:
    return g.cast(call.first, call.output.dtype)


@rule("view", "reshape", "view_as", "reshape_as")
def _reshape(g: Drawing, call: Call) -> Any:
    if call.result.dtype is not call.first.dtype:
        raise g.unsupported("a view of memory as another dtype")
    if g.dims(call.result).count(None) <= 1:
        return g.reshape_like(call.first, call.result)
    wanted = call.positions[1]
    if isinstance(wanted, Value):
        return g.node("Reshape", call.first, g.shape_of(wanted))
    return g.reshape(call.first, [wanted] if isinstance(wanted, int) else wanted)


@rule("flatten")
def _flatten(g: Drawing, call: Call) -> Any:
    if g.dims(call.result).count(None) <= 1:
        return g.reshape_like(call.input, call.result)
    start, end = dim_of(call.input, call.start_dim), dim_of(call.input, call.end_dim)
    sizes = g.rows_of(call.input)
    return g.reshape(call.input, [*sizes[:start], -1, *sizes[end + 1 :]])


@rule("ravel")
def _ravel(g: Drawing, call: Call) -> Any:
    return g.reshape(call.input, [-1])


@rule("unflatten")
def _unflatten(g: Drawing, call: Call) -> Any:
    if g.dims(call.result).count(None) <= 1:
        return g.reshape_like(call.input, call.result)
    dim, sizes = dim_of(call.input, call.dim), g.rows_of(call.input)
    return g.reshape(call.input, [*sizes[:dim], *call.sizes, *sizes[dim + 1 :]])


@rule("squeeze")
def _squeeze(g: Drawing, call: Call) -> Any:
    shape = call.input.shape
    dim = call.get("dim")
    asked = range(len(shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    dims = [each for each in sorted(dim_of(call.input, one) for one in asked) if shape and shape[each] == 1]
    return g.squeeze(call.input, *dims) if dims else call.input


@rule("unsqueeze")
def _unsqueeze(g: Drawing, call: Call) -> Any:
    return g.unsqueeze(call.input, call.dim % (len(call.input.shape) + 1))


@rule("transpose", "swapaxes", "swapdims")
def _transpose(g: Drawing, call: Call) -> Any:
    value, first, second = call.positions[:3]
    return swapped(g, value, first, second)


@rule("t", "Tensor.T", "Tensor.mT", "adjoint", "Tensor.H", "Tensor.mH")
def _turn(g: Drawing, call: Call) -> Any:
    rank = len(call.first.shape)
    if rank < 2:
        return call.first
    if call.target == "Tensor.T":
        return g.node("Transpose", call.first, perm=list(range(rank))[::-1])
    return swapped(g, call.first, -2, -1)


def swapped(g: Drawing, value: Value, first: int, second: int) -> Any:
    """With two dims in each other's place."""
    order = list(range(len(value.shape)))
    if not order:
        return value
    order[first], order[second] = order[second], order[first]
    return g.node("Transpose", value, perm=order)


@rule("permute")
def _permute(g: Drawing, call: Call) -> Any:
    order = [dim_of(call.input, each) for each in call.dims]
    return g.node("Transpose", call.input, perm=order) if order else call.input


@rule("movedim", "moveaxis")
def _move(g: Drawing, call: Call) -> Any:
    value, source, target = call.positions[:3]
    sources, targets = ([each] if isinstance(each, int) else each for each in (source, target))
    rank = len(value.shape)
    moved = dict(zip((each % rank for each in targets), (each % rank for each in sources), strict=True))
    rest = iter([each for each in range(rank) if each not in moved.values()])
    return g.node("Transpose", value, perm=[moved[n] if n in moved else next(rest) for n in range(rank)])


@rule("expand", "broadcast_to")
def _expand(g: Drawing, call: Call) -> Any:
    sizes = call.positions[1:] if isinstance(call.positions[1], int | Value) else call.positions[1]
    sizes = [1 if each == -1 else each for each in sizes if each is not False]
    return g.node("Expand", call.first, g.row(sizes))


@rule("expand_as")
def _expand_as(g: Drawing, call: Call) -> Any:
    return g.node("Expand", call.first, g.shape_of(call.positions[1]))


@rule("repeat", "tile")
def _repeat(g: Drawing, call: Call) -> Any:
    value, *counts = call.positions
    if counts and isinstance(counts[0], tuple | list):
        counts = list(counts[0])
    missing = len(value.shape) - len(counts)
    counts = [1] * missing + counts
    given = g.unsqueeze(value, *range(-missing)) if missing < 0 else value
    return g.node("Tile", given, g.row(counts))


@rule("repeat_interleave")
def _repeat_interleave(g: Drawing, call: Call) -> Any:
    count, dim = g.plain(call.repeats), call.dim
    if not isinstance(count, int) or dim is None:
        raise g.unsupported("repeat_interleave but for one number along one dim")
    dim = dim_of(call.input, dim)
    rank = len(call.input.shape)
    repeated = g.node(
        "Tile", g.unsqueeze(call.input, dim + 1), g.integers(*[1] * (dim + 1), count, *[1] * (rank - dim - 1))
    )
    sizes = g.rows_of(call.input)
    if isinstance(sizes[dim], int):
        sizes[dim] *= count
    elif all(isinstance(each, int) for n, each in enumerate(sizes) if n != dim):
        sizes[dim] = -1
    else:
        sizes[dim] = g.node("Mul", sizes[dim], g.integers(count))
    return g.reshape(repeated, sizes)


@rule("cat", "concat", "concatenate")
def _cat(g: Drawing, call: Call) -> Any:
    parts = [each for each in call.tensors if each.shape != (0,) or len(call.result.shape) == 1]
    given = [g.cast(each, call.result.dtype) for each in parts]
    return given[0] if len(given) == 1 else g.node("Concat", *given, axis=dim_of(call.result, call.dim))


@rule("stack")
def _stack(g: Drawing, call: Call) -> Any:
    dim = dim_of(call.result, call.dim)
    return g.node(
        "Concat", *[g.unsqueeze(g.cast(each, call.result.dtype), dim) for each in call.tensors], axis=dim
    )


@rule("split", "chunk", "unsafe_chunk", "unsafe_split", "split_with_sizes", "tensor_split")
def _split(g: Drawing, call: Call) -> Any:
    dim = dim_of(call.first, call.dim)
    sizes = [each.shape[dim] for each in call.result]
    g.fixed(call.first, dim, call.target)
    return [call.first] if len(sizes) == 1 else g.split(call.first, sizes, dim)


@rule("unbind")
def _unbind(g: Drawing, call: Call) -> Any:
    dim = dim_of(call.input, call.dim)
    g.fixed(call.input, dim, "unbind")
    parts = g.split(call.input, [1] * len(call.result), dim) if len(call.result) > 1 else [call.input]
    return [g.squeeze(each, dim) for each in parts]


@rule("narrow")
def _narrow(g: Drawing, call: Call) -> Any:
    dim, start, length = dim_of(call.input, call.dim), g.plain(call.start), g.plain(call.length)
    if isinstance(start, int) and isinstance(length, int):
        if start < 0:
            start += g.fixed(call.input, dim, "narrow")
        return g.slice(call.input, dim, start, start + length)
    end = g.node("Add", g.row([start]), g.row([length]))
    return g.slice(call.input, dim, g.row([start]), end)


@rule("flip", "fliplr", "flipud")
def _flip(g: Drawing, call: Call) -> Any:
    dims = {"fliplr": [1], "flipud": [0]}.get(call.target) or call.dims
    dims = [dims] if isinstance(dims, int) else dims
    value: Any = call.input
    for dim in dims:
        value = g.slice(value, dim_of(call.input, dim), -1, -(2**62), -1)
    return value


@rule("roll")
def _roll(g: Drawing, call: Call) -> Any:
    if call.dims is None or call.dims == ():
        raise g.unsupported("roll over all elements")
    shifts, dims = ([each] if isinstance(each, int) else each for each in (call.shifts, call.dims))
    value: Any = call.input
    for shift, dim in zip(shifts, dims, strict=True):
        axis = dim_of(call.input, dim)
        size = g.dims(call.input)[axis]
        shift = shift % size if size else shift
        if shift:
            parts = (g.slice(value, axis, -shift, 2**62), g.slice(value, axis, 0, -shift))
            value = g.node("Concat", *parts, axis=axis)
    return value


@rule("tril", "triu")
def _triangle(g: Drawing, call: Call) -> Any:
    upper = "triu" in call.target
    if g.opset >= 14:
        kind = call.result.dtype
        given = g.cast(call.input, dt.int64) if kind is dt.bool_ else call.input
        found = g.node("Trilu", given, g.scalar(call.diagonal, dt.int64), upper=int(upper))
        return g.node("Cast", found, to=kind) if kind is dt.bool_ else found
    rows, columns = (
        g.node("Range", g.scalar(0, dt.int64), g.squeeze(g.size(call.input, dim), 0), g.scalar(1, dt.int64))
        for dim in (-2, -1)
    )
    edge = g.unsqueeze(g.node("Add", rows, g.scalar(call.diagonal, dt.int64)), 1)
    columns = g.unsqueeze(columns, 0)
    left_out = g.node("Less", columns, edge) if upper else g.node("Less", edge, columns)
    return g.node("Where", left_out, g.scalar(0, call.result.dtype), call.input)


@rule("pixel_shuffle", "nn.functional.pixel_shuffle")
def _pixel_shuffle(g: Drawing, call: Call) -> Any:
    if len(call.input.shape) == 4:
        return g.node("DepthToSpace", call.input, blocksize=call.upscale_factor, mode="CRD")
    factor, rank = call.upscale_factor, len(call.input.shape)
    *front, _, height, width = g.rows_of(call.input)
    channels = call.result.shape[-3]
    apart = g.reshape(call.input, [*front, channels, factor, factor, height, width])
    n = rank - 3
    turned = g.node("Transpose", apart, perm=[*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return g.reshape_like(turned, call.result)


@rule("pixel_unshuffle", "nn.functional.pixel_unshuffle")
def _pixel_unshuffle(g: Drawing, call: Call) -> Any:
    factor, n = call.downscale_factor, len(call.input.shape) - 3
    *front, channels, _, _ = g.rows_of(call.input)
    height, width = (g.fixed(call.result, dim, "pixel_unshuffle") for dim in (-2, -1))
    apart = g.reshape(call.input, [*front, channels, height, factor, width, factor])
    turned = g.node("Transpose", apart, perm=[*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return g.reshape_like(turned, call.result)


@rule(
    "channel_shuffle",
    "nn.functional.channel_shuffle",
    "native_channel_shuffle",
    "nn.functional.native_channel_shuffle",
)
def _channel_shuffle(g: Drawing, call: Call) -> Any:
    batch, channels, *rest = g.rows_of(call.input)
    apart = g.reshape(call.input, [batch, call.groups, channels // call.groups, *rest])
    order = [0, 2, 1, *range(3, 3 + len(rest))]
    return g.reshape(g.node("Transpose", apart, perm=order), [batch, channels, *rest])


@rule("nn.functional.pad", "constant_pad")
def _pad(g: Drawing, call: Call) -> Any:
    rank, given = len(call.input.shape), [g.plain(each) for each in call.pad]
    before, after = [0] * rank, [0] * rank
    for number in range(len(given) // 2):
        before[rank - 1 - number], after[rank - 1 - number] = given[2 * number], given[2 * number + 1]
    mode = call.get("mode", "constant")
    more = [[max(one, 0) if isinstance(one, int) else one for one in ends] for ends in (before, after)]
    if mode == "circular":  # what is cut off does not come again
        return _wrapped(g, _cropped(g, call.input, before, after), *more)
    value: Any = call.input
    if any(one != 0 for ends in more for one in ends):
        fill = g.scalar(call.value or 0, call.result.dtype) if mode == "constant" else None
        kind = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}[mode]
        value = g.node("Pad", value, g.row([*more[0], *more[1]]), fill, mode=kind)
    return _cropped(g, value, before, after)


def _cropped(g: Drawing, value: Any, before: list[Any], after: list[Any]) -> Any:
    """Without what negative padding takes away."""
    for axis, (begin, end) in enumerate(zip(before, after, strict=True)):
        cuts = [each if isinstance(each, int) and each < 0 else 0 for each in (begin, end)]
        if any(cuts):
            value = g.slice(value, axis, -cuts[0], cuts[1] or 2**62)
    return value


def _wrapped(g: Drawing, value: Any, before: list[Any], after: list[Any]) -> Any:
    for axis, (begin, end) in enumerate(zip(before, after, strict=True)):
        parts = [g.slice(value, axis, -begin, 2**62)] if begin else []
        parts += [value, *([g.slice(value, axis, 0, end)] if end else [])]
        value = g.node("Concat", *parts, axis=axis) if len(parts) > 1 else value
    return value


@rule("nn.functional.unfold", "unfold_columns")
def _unfold(g: Drawing, call: Call) -> Any:
    """Columns of windows: rows, then columns of the image are gathered window by window."""
    options = [each(getattr(call, name), 2) for name in ("kernel_size", "dilation", "padding", "stride")]
    value, added = with_batch(g, call.input, 2)
    kernel, dilation, padding, stride = options
    if any(padding):
        value = g.node("Pad", value, g.integers(0, 0, *padding, 0, 0, *padding), mode="constant")
    counts = []
    for n in range(2):
        size = g.fixed(call.input, n - 2, "unfold") + 2 * padding[n]
        counts.append((size - dilation[n] * (kernel[n] - 1) - 1) // stride[n] + 1)
        places = np.arange(kernel[n])[:, None] * dilation[n] + np.arange(counts[n])[None] * stride[n]
        value = g.node("Gather", value, g.constant(places), axis=2 + 2 * n)
    turned = g.node("Transpose", value, perm=[0, 1, 2, 4, 3, 5])
    channels = g.dims(call.input)[-3]
    columns = -1 if channels is None else channels * kernel[0] * kernel[1]
    found = g.reshape(turned, [0, columns, counts[0] * counts[1]])
    return g.squeeze(found, 0) if added else found


@rule("nn.functional.fold")
def _fold(g: Drawing, call: Call) -> Any:
    if g.opset < 18:
        raise g.unsupported("fold")
    added = len(call.input.shape) == 2
    kernel, dilation, padding, stride = (
        each(getattr(call, name), 2) for name in ("kernel_size", "dilation", "padding", "stride")
    )
    found = g.node(
        "Col2Im",
        g.unsqueeze(call.input, 0) if added else call.input,
        g.integers(*each(call.output_size, 2)),
        g.integers(*kernel),
        dilations=dilation,
        pads=padding * 2,
        strides=stride,
    )
    return g.squeeze(found, 0) if added else found


@rule("broadcast_tensors")
def _broadcast(g: Drawing, call: Call) -> Any:
    given = call.positions
    given = list(given[0]) if given and isinstance(given[0], tuple | list) else given
    zeros = [g.node("Expand", g.scalar(0, dt.int64), g.node("Shape", one)) for one in given]
    total: Any = zeros[0]
    for one in zeros[1:]:
        total = g.node("Add", total, one)
    whole = g.node("Shape", total)
    return [g.node("Expand", one, whole) for one in given]
