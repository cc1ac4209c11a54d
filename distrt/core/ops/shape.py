"""Operations that move elements without computing: shape, joining, indexing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.arrays import Array, array_module
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.dims import one_dim
from distrt.core.tensor import Tensor

__all__ = [
    "cat",
    "chunk",
    "expand",
    "expand_as",
    "flatten",
    "permute",
    "reshape",
    "split",
    "squeeze",
    "stack",
    "transpose",
    "unbind",
    "unsqueeze",
    "view",
]


def _resolve(shape: Sequence[int], numel: int, name: str) -> tuple[int, ...]:
    """The sizes with a -1 worked out.

    Raises:
        ShapeError: where they do not hold ``numel`` elements.
    """
    sizes = tuple(int(size) for size in shape)
    if sizes.count(-1) > 1:
        raise ShapeError(f"{name}: only one dimension can be inferred, got {list(sizes)}")
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes:
        if known == 0 or numel % known:
            raise ShapeError(f"shape '{list(sizes)}' is invalid for input of size {numel}")
        return tuple(numel // known if size == -1 else size for size in sizes)
    if known != numel:
        raise ShapeError(f"shape '{list(sizes)}' is invalid for input of size {numel}")
    return sizes


@op(view=True, node="View")
def _view(input: Array, shape: tuple[int, ...]) -> Array:
    """The same memory under another shape."""
    sizes = _resolve(shape, input.size, "view")
    try:
        return array_module(input).reshape(input, sizes, copy=False)
    except ValueError:
        raise ShapeError(
            f"view size {list(sizes)} is not compatible with input tensor's size {list(input.shape)} and strides "
            "(at least "
            "one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        ) from None


_view.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


@op(node="View")
def _copy_reshape(input: Array, shape: tuple[int, ...]) -> Array:
    """A copy under another shape."""
    return array_module(input).reshape(input, shape).copy()


_copy_reshape.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


def reshape(input: Any, shape: Sequence[int]) -> Any:
    """The elements under another shape: a view where the memory allows it, else a copy."""
    if not isinstance(input, Tensor):
        return input.reshape(shape)
    sizes = _resolve(shape, input._array.size, "reshape")
    try:
        return _view(input, sizes)
    except ShapeError:
        return _copy_reshape(input, sizes)


def view(input: Any, shape: Sequence[int]) -> Any:
    """The same memory under another shape.

    Raises:
        ShapeError: where that would need a copy.
    """
    return _view(input, tuple(shape))


@op(view=True)
def permute(input: Array, dims: tuple[int, ...]) -> Array:
    """The dims in another order."""
    if len(dims) != input.ndim:
        raise ShapeError(f"permute: the tensor has {input.ndim} dims, but {list(dims)} names {len(dims)}")
    order = tuple(one_dim(dim, input.ndim) for dim in dims)
    if len(set(order)) != len(order):
        raise ShapeError(f"permute(): duplicate dims are not allowed: {list(dims)}")
    return input.transpose(order)


permute.gradient(input=lambda g, dims: permute(g, _inverse(dims)))


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    order = [dim % len(dims) for dim in dims]
    return tuple(order.index(number) for number in range(len(order)))


@op(view=True)
def transpose(input: Array, dim0: int, dim1: int) -> Array:
    """Two dims exchanged."""
    if input.ndim == 0:
        return input
    return input.swapaxes(one_dim(dim0, input.ndim), one_dim(dim1, input.ndim))


transpose.gradient(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@op(view=True)
def expand(input: Array, shape: tuple[int, ...]) -> Array:
    """Dims of size 1 repeated without a copy; -1 keeps a size."""
    extra = len(shape) - input.ndim
    if extra < 0:
        raise ShapeError(f"expand: {list(shape)} has fewer dims than the tensor's {list(input.shape)}")
    sizes = tuple(
        input.shape[n - extra] if size == -1 and n >= extra else size for n, size in enumerate(shape)
    )
    for have, want in zip(input.shape, sizes[extra:], strict=True):
        if have not in (1, want):
            raise ShapeError(
                f"The expanded size of the tensor ({want}) must match the existing size ({have}) at a non-singleton "
                "dimension. "
                f"Target sizes: {list(shape)}. Tensor sizes: {list(input.shape)}"
            )
    return array_module(input).broadcast_to(input, sizes)


expand.gradient(input=lambda g: g)  # the engine sums over what was repeated


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the shape of ``other``."""
    return expand(input, tuple(other.shape))


@op(view=True)
def unsqueeze(input: Array, dim: int) -> Array:
    """A dim of size 1 put in at ``dim``."""
    return array_module(input).expand_dims(input, one_dim(dim, input.ndim + 1))


unsqueeze.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


@op(view=True)
def squeeze(input: Array, dim: Any = None) -> Array:
    """Dims of size 1 taken out: all of them, or those of ``dim`` that have size 1."""
    if dim is None:
        return input.reshape(tuple(size for size in input.shape if size != 1))
    wanted = (dim,) if isinstance(dim, int) else dim
    gone = {one_dim(each, input.ndim) for each in wanted}
    return input.reshape(tuple(size for n, size in enumerate(input.shape) if size != 1 or n not in gone))


squeeze.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dims from ``start_dim`` to ``end_dim`` as one."""
    sizes = tuple(input.shape)
    start, end = one_dim(start_dim, len(sizes)), one_dim(end_dim, len(sizes))
    if start > end:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not sizes:
        return reshape(input, (1,))
    return reshape(input, (*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]))


@op(dtype="promote", autocast="widest")
def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """The tensors one after another along ``dim``."""
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    full = [
        each for each in tensors if each.shape != (0,)
    ] or tensors  # PyTorch lets an empty 1-D tensor fit anything
    axis = one_dim(dim, full[0].ndim)
    for number, each in enumerate(full):
        sizes = [
            (have, want)
            for n, (have, want) in enumerate(zip(each.shape, full[0].shape, strict=False))
            if n != axis
        ]
        if each.ndim != full[0].ndim or any(have != want for have, want in sizes):
            raise ShapeError(
                f"Sizes of tensors must match except in dimension {axis}. Expected {list(full[0].shape)} but got "
                f"{list(each.shape)} for tensor number {number} in the list."
            )
    return array_module(full[0]).concatenate(full, axis=axis)


cat.gradient(tensors=lambda g, tensors_meta, dim: _cut(g, [meta.shape for meta in tensors_meta], dim))


def _cut(g: Any, shapes: list[tuple[int, ...]], dim: int) -> list[Any]:
    axis, start, pieces = dim % g.ndim, 0, []
    for shape in shapes:
        size = 0 if shape == (0,) and g.ndim != 1 else shape[axis]
        piece = ops.index(g, (*[slice(None)] * axis, slice(start, start + size)))
        pieces.append(ops.reshape(piece, shape))
        start += size
    return pieces


@op(dtype="promote", autocast="widest")
def stack(tensors: Sequence[Array], dim: int = 0) -> Array:
    """The tensors, all of one shape, along a new ``dim``."""
    if not tensors:
        raise ShapeError("stack expects a non-empty TensorList")
    for number, each in enumerate(tensors):
        if each.shape != tensors[0].shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and "
                f"{list(each.shape)} at entry {number}"
            )
    return array_module(tensors[0]).stack(tensors, axis=one_dim(dim, tensors[0].ndim + 1))


stack.gradient(
    tensors=lambda g, tensors_meta, dim: [
        ops.index(g, (*[slice(None)] * (dim % g.ndim), number)) for number in range(len(tensors_meta))
    ]
)


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along ``dim``: of one size (the last may be smaller), or of the sizes given."""
    axis = one_dim(dim, tensor.ndim)
    length = tensor.shape[axis]
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step <= 0:
            raise ShapeError(f"split expects split_size be positive, but got split_size={step}")
        sizes = [min(step, length - start) for start in range(0, length, step)] or [0]
    else:
        sizes = list(split_size_or_sections)
        if sum(sizes) != length:
            raise ShapeError(
                f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
                f"{axis}), "
                f"but got split_sizes={sizes}"
            )
    pieces, start = [], 0
    for size in sizes:
        pieces.append(ops.index(tensor, (*[slice(None)] * axis, slice(start, start + size))))
        start += size
    return tuple(pieces)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` views of equal size along ``dim``; the last may be smaller."""
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    length = input.shape[one_dim(dim, input.ndim)]
    return split(input, max(1, -(-length // chunks)), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of each slice along ``dim``."""
    axis = one_dim(dim, input.ndim)
    return tuple(ops.index(input, (*[slice(None)] * axis, number)) for number in range(input.shape[axis]))
