"""The sizes of a convolution's result, and what PyTorch says of arguments that do not fit.

Called by ``core/ops/spatial/convolution.py`` before it computes anything.
"""

from __future__ import annotations

from distrt.core.arrays import Array
from distrt.core.errors import DtypeError, NoKernelError, ShapeError
from distrt.core.ops.pointwise.type_names import c_type, scalar_type
from distrt.core.ops.spatial.windows import Sizes, window_counts


def convolution_shape(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Sizes:
    """The spatial dims of a convolution.

    Raises:
        ShapeError: sizes that do not fit.
        DtypeError: dtypes that differ, or that cannot be convolved.
    """
    _require_options(stride, padding, dilation, groups)
    _require_weight(weight, groups)
    channels = weight.shape[1] * groups
    if input.shape[1] != channels:
        raise ShapeError(
            f"Given groups={groups}, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{channels} channels, but got {input.shape[1]} channels instead"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"Given weight of size {list(weight.shape)}, expected bias to be 1-dimensional with {weight.shape[0]} "
            f"elements, but got bias of size {list(bias.shape)} instead"
        )
    padded = [n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True)]
    spans = [d * (k - 1) + 1 for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if 0 in input.shape[2:] or any(n < span for n, span in zip(padded, spans, strict=True)):
        raise ShapeError(
            f"Calculated padded input size per channel: ({_product(padded)}). Kernel size: ({_product(spans)}). "
            "Kernel size can't be greater than actual input size"
        )
    require_dtypes(input, weight, bias)
    if input.dtype.kind == "b":
        raise NoKernelError(
            f"\"slow_conv{max(input.ndim - 2, 2)}d_cpu\" not implemented for '{scalar_type(input)}'"
        )
    return window_counts(input.shape[2:], weight.shape[2:], stride, padding, dilation)


def transposed_shape(
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Sizes,
    output_padding: Sizes,
    dilation: Sizes,
    groups: int,
) -> Sizes:
    """The spatial dims of a transposed convolution.

    Raises:
        ShapeError: sizes that do not fit.
        DtypeError: dtypes that differ, or that cannot be convolved.
    """
    if min(output_padding, default=0) < 0:
        raise ShapeError("negative output_padding is not supported")
    _require_options(stride, padding, dilation, groups)
    _require_weight(weight, groups)
    if input.shape[1] != weight.shape[0]:
        raise ShapeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected input{list(input.shape)} to have "
            f"{weight.shape[0]} channels, but got {input.shape[1]} channels instead"
        )
    if bias is not None and bias.shape != (weight.shape[1] * groups,):
        raise ShapeError(
            f"Given transposed=1, weight of size {list(weight.shape)}, expected bias to be 1-dimensional with "
            f"{weight.shape[1] * groups} elements, but got bias of size {list(bias.shape)} instead"
        )
    if any(o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise ShapeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"{_by_name('output_padding', output_padding)} {_by_name('stride', stride)} "
            f"{_by_name('dilation', dilation)}"
        )
    out = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + o + 1
        for n, k, s, p, d, o in zip(
            input.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding, strict=True
        )
    )
    if min(out) < 1:
        line = (1,) if len(out) == 1 else ()  # PyTorch takes a line as an image of one row
        raise ShapeError(
            f"Given input size per channel: ({_product(line + input.shape[2:])}). Calculated output size per channel: "
            f"({_product(line + out)}). Output size is too small"
        )
    require_dtypes(input, weight, bias)
    if input.dtype.kind in "bui" and input.dtype.name != "int64":
        raise NoKernelError(
            f"\"slow_conv_transpose{max(len(out), 2)}d_out_cpu\" not implemented for '{scalar_type(input)}'"
        )
    return out


def require_dtypes(input: Array, weight: Array, bias: Array | None) -> None:
    """Raises DtypeError where the dtypes of a convolution's tensors differ."""
    if bias is not None and bias.dtype != input.dtype:
        raise DtypeError(f"Input type ({c_type(input)}) and bias type ({c_type(bias)}) should be the same")
    if weight.dtype != input.dtype:
        raise DtypeError(f"expected scalar type {scalar_type(input)} but found {scalar_type(weight)}")


def _require_options(stride: Sizes, padding: Sizes, dilation: Sizes, groups: int) -> None:
    if min(padding) < 0:
        raise ShapeError("negative padding is not supported")
    if min(stride) < 1:
        raise ShapeError("non-positive stride is not supported")
    if min(dilation) < 1:
        raise ShapeError(f"dilation should be greater than zero, but got {list(dilation)}")
    if groups < 1:
        raise ShapeError("non-positive groups is not supported")


def _require_weight(weight: Array, groups: int) -> None:
    found = weight.shape[0]
    if found < groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of size "
            f"{list(weight.shape)} instead"
        )
    if found % groups:
        raise ShapeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of "
            f"size [{list(weight.shape)}] instead"
        )


def _product(sizes: list[int] | Sizes) -> str:
    return " x ".join(map(str, sizes))


def _by_name(option: str, sizes: Sizes) -> str:
    """``stride_height: 2 stride_width: 2``, as PyTorch lists them."""
    names = ("depth", "height", "width")[-max(len(sizes), 2) :]
    neutral = 0 if option == "output_padding" else 1
    shown = (neutral, *sizes) if len(sizes) == 1 else sizes
    return " ".join(f"{option}_{name}: {size}" for name, size in zip(names, shown, strict=True))
