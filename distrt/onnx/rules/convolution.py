"""Convolutions, forward and transposed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value


def each(option: Any, count: int) -> list[int]:
    """An option for every spatial dim."""
    return [option] * count if isinstance(option, int) else list(option) * (count if len(option) == 1 else 1)


def with_batch(g: Drawing, value: Value, spatial: int) -> tuple[Any, bool]:
    """The input with a batch dim, and whether one was added."""
    added = len(value.shape) == spatial + 1
    return (g.unsqueeze(value, 0) if added else value), added


@rule("nn.functional.conv1d", "nn.functional.conv2d", "nn.functional.conv3d")
def _conv(g: Drawing, call: Call) -> Any:
    spatial = len(call.weight.shape) - 2
    kernel = list(call.weight.shape[2:])
    dilation = each(call.dilation, spatial)
    value, added = with_batch(g, call.input, spatial)
    found = g.node(
        "Conv",
        value,
        call.weight,
        call.bias,
        kernel_shape=kernel,
        strides=each(call.stride, spatial),
        pads=_pads(call.padding, kernel, dilation),
        dilations=dilation,
        group=call.groups,
    )
    return g.squeeze(found, 0) if added else found


def _pads(padding: Any, kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """Begin of every dim, then their ends; of 'same' padding that is odd, the end has more."""
    if padding == "valid":
        return [0] * (2 * len(kernel))
    if padding == "same":
        total = [step * (size - 1) for size, step in zip(kernel, dilation, strict=True)]
        return [size // 2 for size in total] + [size - size // 2 for size in total]
    return each(padding, len(kernel)) * 2


@rule("nn.functional.conv_transpose1d", "nn.functional.conv_transpose2d", "nn.functional.conv_transpose3d")
def _transposed(g: Drawing, call: Call) -> Any:
    spatial = len(call.weight.shape) - 2
    extra = [g.plain(one) for one in each(call.output_padding, spatial)]
    if not all(isinstance(one, int) for one in extra):
        raise g.unsupported("a transposed convolution whose output_size follows from a dynamic size")
    if any(more >= step for more, step in zip(extra, each(call.stride, spatial), strict=True)):
        raise g.unsupported("a transposed convolution with an output_padding that is not below its stride")
    value, added = with_batch(g, call.input, spatial)
    found = g.node(
        "ConvTranspose",
        value,
        call.weight,
        call.bias,
        kernel_shape=list(call.weight.shape[2:]),
        strides=each(call.stride, spatial),
        pads=each(call.padding, spatial) * 2,
        output_padding=extra if any(extra) else None,
        dilations=each(call.dilation, spatial),
        group=call.groups,
    )
    return g.squeeze(found, 0) if added else found
