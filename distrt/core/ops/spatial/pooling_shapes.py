"""How many windows a pooling has, and what PyTorch says of arguments that do not fit.

Called by the pooling operations before they compute anything.
"""

from __future__ import annotations

import math

from distrt.core.arrays import Array
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.spatial.windows import Sizes


def pool_counts(
    input: Array, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes, ceil_mode: bool
) -> Sizes:
    """The number of windows along each of the last dims.

    Raises:
        ShapeError: sizes that do not fit.
    """
    dims = len(kernel)
    _require_dims(input, dims)
    if 0 in stride:
        raise ShapeError("stride should not be zero")
    for name, short, sizes in (
        ("kernel size", "k", kernel),
        ("stride", "d", stride),
        ("dilation", "dilation", dilation),
    ):
        if min(sizes) < 1:
            axes = [f"{short}{axis}: {size}" for axis, size in zip("THW"[-dims:], sizes, strict=True)]
            raise ShapeError(f"{name} should be greater than zero, but got {' '.join(axes)}")
    for p, k, d in zip(padding, kernel, dilation, strict=True):
        if p < 0:
            raise ShapeError(f"pad must be non-negative, but got pad: {p}")
        if p > (d * (k - 1) + 1) // 2:
            raise ShapeError(
                "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )
    if any(p > k // 2 for p, k in zip(padding, kernel, strict=True)):
        raise ShapeError(
            f"pad should be smaller than or equal to half of kernel size, but got {_listed(padding, kernel)}"
        )
    spatial = input.shape[input.ndim - dims :]
    out = tuple(
        pool_count(*sizes, ceil_mode)
        for sizes in zip(spatial, kernel, stride, padding, dilation, strict=True)
    )
    if min(out) < 1:
        channels = input.shape[input.ndim - dims - 1]
        shapes = ["x".join(map(str, (channels, *sizes))) for sizes in (spatial, out)]
        raise ShapeError(
            f"Given input size: ({shapes[0]}). Calculated output size: ({shapes[1]}). Output size is too small"
        )
    return out


def _listed(padding: Sizes, kernel: Sizes) -> str:
    """Paddings and windows in the order that PyTorch lists them in."""
    if len(kernel) == 3:
        (t, h, w), (pt, ph, pw) = kernel, padding
        return f"kT: {t} kW: {w} kH: {h} padT: {pt} padW: {pw} padH: {ph}"
    (h, w), (ph, pw) = kernel, padding
    return f"padW = {pw}, padH = {ph}, kW = {w}, kH = {h}"


def pool_count(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """The number of windows along one dim."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    out = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (out - 1) * stride >= size + padding:  # the last window must start inside the input
        out -= 1
    return out


def _require_dims(input: Array, dims: int) -> None:
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(f"non-empty {dims + 1}D or {dims + 2}D (batch mode) tensor expected for input")
    if math.prod(input.shape[-dims - 1 :]) == 0:
        raise ShapeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with optional 0 dim batch size for input, but "
            f"got:{list(input.shape)}"
        )


def require_filled(operation: str, input: Array, first: int) -> None:
    """Raises ShapeError where a dim from ``first`` on has no elements."""
    for dim in range(first, input.ndim):
        if input.shape[dim] == 0:
            raise ShapeError(
                f"{operation}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {dim} being empty"
            )


def require_kernel(operation: str, input: Array, refused: str) -> None:
    """Raises NoKernelError for an array of one of NumPy's kinds (all integers but int64 are "s")."""
    kind = input.dtype.kind
    small = kind in "iu" and input.dtype.name != "int64"
    if kind in refused or (small and "s" in refused):
        raise NoKernelError(f"\"{operation}\" not implemented for '{scalar_type(input)}'")
