"""Views under another shape: sizes, the order of dims, and dims of size 1. Nothing is computed, little is copied."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, array_module
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.shapes.dims import all_dims, one_dim
from distrt.core.tensor import Tensor

__all__ = [
    "adjoint",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "ravel",
    "reshape",
    "reshape_as",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unflatten",
    "unsqueeze",
    "view",
    "view_as",
    "view_dtype",
]


def _resolve(shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """The sizes with a -1 worked out.

    Raises:
        ShapeError: where they do not hold ``numel`` elements.
    """
    sizes = tuple(int(size) for size in shape)
    if sizes.count(-1) > 1:
        raise ShapeError("only one dimension can be inferred")
    if min(sizes, default=0) < -1:
        raise ShapeError(f"invalid shape dimension {min(sizes)} in {list(sizes)}")
    known = math.prod(size for size in sizes if size != -1)
    if -1 in sizes:
        if known == 0 and numel == 0:
            raise ShapeError(
                f"cannot reshape tensor of 0 elements into shape {list(sizes)} because the unspecified dimension size "
                "-1 can be any value and is ambiguous"
            )
        if known == 0 or numel % known:
            raise ShapeError(f"shape '{list(sizes)}' is invalid for input of size {numel}")
        return tuple(numel // known if size == -1 else size for size in sizes)
    if known != numel:
        raise ShapeError(f"shape '{list(sizes)}' is invalid for input of size {numel}")
    return sizes


@op(view=True, node="View")
def _view(input: Array, shape: tuple[int, ...]) -> Array:
    """The same memory under another shape."""
    if shape and min(shape) < -1:  # NumPy takes any negative size for -1
        _resolve(shape, input.size)
    try:
        return input.reshape(shape, copy=False)
    except ValueError:
        sizes = _resolve(shape, input.size)
        raise ShapeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            f"contiguous subspaces): {list(sizes)} of a tensor of {list(input.shape)}. Use .reshape(...) instead."
        ) from None


_view.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


@op(view=True, node="Alias")
def _alias(input: Array) -> Array:
    """The same memory under the same shape: a tensor of its own."""
    return input


_alias.gradient(input=lambda g: g)


@op(node="View")
def _copy_reshape(input: Array, shape: tuple[int, ...]) -> Array:
    """A copy under another shape."""
    return array_module(input).reshape(input, shape).copy()


_copy_reshape.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


def reshape(input: Any, shape: Sequence[int]) -> Any:
    """The elements under another shape: a view where the memory allows it, else a copy."""
    if not isinstance(input, Tensor):
        return input.reshape(shape)
    try:
        return _view(input, tuple(shape))
    except ShapeError:
        return _copy_reshape(input, _resolve(shape, input._array.size))


def reshape_as(input: Any, other: Any) -> Any:
    """The elements under the shape of ``other``."""
    return reshape(input, tuple(other.shape))


def view(input: Any, shape: Any) -> Any:
    """The same memory under another shape, or with a dtype in the place of the shape read as another element type.

    Raises:
        ShapeError: where that would need a copy.
    """
    return view_dtype(input, shape.numpy) if isinstance(shape, dt.dtype) else _view(input, tuple(shape))


def view_as(input: Any, other: Any) -> Any:
    """The same memory under the shape of ``other``."""
    return _view(input, tuple(other.shape))


@op(view=True)
def view_dtype(input: Array, dtype: np.dtype[Any]) -> Array:
    """The same memory read as elements of another dtype; the last dim grows or shrinks where their sizes differ.

    Raises:
        ShapeError: where the last dim does not divide, or is not contiguous.
    """
    have, want = input.itemsize, dtype.itemsize
    if have == want:
        return input.view(dtype)
    if input.ndim == 0:
        raise ShapeError(
            f"self.dim() cannot be 0 to view {dt.of(input)} as {dtype} (different element sizes)"
        )
    if input.strides[-1] != have and input.shape[-1] != 1:
        raise ShapeError(
            f"self.stride(-1) must be 1 to view {dt.of(input)} as {dtype} (different element sizes), but got "
            f"{input.strides[-1] // have}"
        )
    if have > want:
        return _finer(input, dtype)
    ratio = want // have
    if input.shape[-1] % ratio:
        raise ShapeError(
            f"self.size(-1) must be divisible by {ratio} to view {dt.of(input)} as {dtype} (different element sizes), "
            f"but got {input.shape[-1]}"
        )
    if any(step % want for size, step in zip(input.shape[:-1], input.strides[:-1], strict=True) if size > 1):
        raise ShapeError(f"the strides must be divisible by {ratio} to view {dt.of(input)} as {dtype}")
    return input.view(dtype)


def _finer(input: Array, dtype: np.dtype[Any]) -> Array:
    return (
        input.view(dtype) if input.shape[-1] != 1 or input.flags.c_contiguous else input[..., :1].view(dtype)
    )


# The order of dims


@op(view=True)
def permute(input: Array, dims: tuple[int, ...]) -> Array:
    """The dims in another order."""
    if len(dims) != input.ndim:
        raise ShapeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {input.ndim} is not equal to len(dims) = {len(dims)}"
        )
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
    first, second = one_dim(dim0, input.ndim), one_dim(dim1, input.ndim)
    return input.swapaxes(first, second) if input.ndim else input[...]


transpose.gradient(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


def swapaxes(input: Any, axis0: int, axis1: int) -> Any:
    """``transpose`` by another name."""
    return transpose(input, axis0, axis1)


def swapdims(input: Any, dim0: int, dim1: int) -> Any:
    """``transpose`` by another name."""
    return transpose(input, dim0, dim1)


def t(input: Any) -> Any:
    """The transpose of a matrix; a view of the whole for fewer dims.

    Raises:
        ShapeError: for more than two dims.
    """
    if input.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _t(input)


@op(view=True, node="T")
def _t(input: Array) -> Array:
    """The transpose of a matrix, or the vector itself."""
    return input.T


_t.gradient(input=lambda g: _t(g))


def adjoint(input: Any) -> Any:
    """The last two dims exchanged, and complex numbers conjugated.

    Raises:
        ShapeError: for fewer than two dims.
    """
    if input.ndim < 2:
        raise ShapeError(
            f"tensor.adjoint() is only supported on matrices or batches of matrices. Got {input.ndim}-D tensor."
        )
    turned = transpose(input, -2, -1)
    return ops.conj(turned) if getattr(input, "_array", input).dtype.kind == "c" else turned


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """The dims ``source`` moved to the places ``destination``; the others keep their order.

    Raises:
        ShapeError: for lists of different lengths, or a dim that is named twice.
    """
    sources = (source,) if isinstance(source, int) else tuple(source)
    places = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(sources) != len(places):
        raise ShapeError(
            f"movedim: Invalid source or destination dims: source ({list(sources)} dims) should contain the same "
            f"number of dims as destination ({list(places)} dims)"
        )
    sources = tuple(one_dim(dim, input.ndim) for dim in sources)
    places = tuple(one_dim(dim, input.ndim) for dim in places)
    for what, dims in (("source", sources), ("destination", places)):
        if len(set(dims)) != len(dims):
            raise ShapeError(f"movedim: repeated dim in `{what}` ({list(dims)})")
    moved = dict(zip(places, sources, strict=True))
    rest = iter(dim for dim in range(input.ndim) if dim not in sources)
    return permute(input, tuple(moved[n] if n in moved else next(rest) for n in range(input.ndim)))


def moveaxis(input: Any, source: Any, destination: Any) -> Any:
    """``movedim`` by another name."""
    return movedim(input, source, destination)


# Dims of size 1


@op(view=True)
def unsqueeze(input: Array, dim: int) -> Array:
    """A dim of size 1 put in at ``dim``."""
    return input[(slice(None),) * one_dim(dim, input.ndim + 1) + (None, ...)]


unsqueeze.gradient(input=lambda g, input_meta: ops.reshape(g, input_meta.shape))


@op(view=True)
def squeeze(input: Array, dim: Any = None) -> Array:
    """Dims of size 1 taken out: all of them, or those of ``dim`` that have size 1."""
    if dim is None:
        return input.squeeze()
    wanted = (one_dim(dim, input.ndim),) if isinstance(dim, int) else all_dims(tuple(dim), input.ndim)
    if not isinstance(dim, int) and not len(dim):
        return input[...]
    gone = tuple(each for each in wanted if input.ndim and input.shape[each] == 1)
    return input.squeeze(gone) if gone else input[...]


_SQUEEZES: dict[Any, str] = {type(None): "Squeeze", int: "Squeeze1"}
squeeze.node(lambda node: _SQUEEZES.get(type(node.given("dim")), "Squeeze2"))
squeeze.gradient(input=lambda g, input_meta, dim: ops.reshape(g, input_meta.shape))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The dims from ``start_dim`` to ``end_dim`` as one."""
    sizes = tuple(input.shape)
    start, end = one_dim(start_dim, len(sizes)), one_dim(end_dim, len(sizes))
    if start > end:
        raise ShapeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not sizes:
        return reshape(input, (1,))
    if start == end:
        return input
    return reshape(input, (*sizes[:start], math.prod(sizes[start : end + 1]), *sizes[end + 1 :]))


def ravel(input: Any) -> Any:
    """All elements in one row: a view where the memory allows it."""
    return (
        reshape(input, (-1,))
        if input.ndim != 1
        else (input.contiguous() if isinstance(input, Tensor) else input)
    )


def unflatten(input: Any, dim: int, sizes: Any) -> Any:
    """One dim as several; one of ``sizes`` may be -1.

    Raises:
        ShapeError: where the sizes do not make up the dim, or there are none.
    """
    axis, parts = one_dim(dim, input.ndim), tuple(sizes)
    if not parts:
        raise ShapeError("unflatten: sizes must be non-empty")
    size = input.shape[axis]
    try:
        resolved = _resolve(parts, size)
    except ShapeError:
        raise ShapeError(
            f"unflatten: Provided sizes {list(parts)} don't multiply up to the size of dim {axis} ({size}) in the "
            "input tensor"
        ) from None
    return reshape(input, (*input.shape[:axis], *resolved, *input.shape[axis + 1 :]))


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    """One tensor for one, a tuple for several or for a list."""
    if len(tensors) == 1 and not isinstance(tensors[0], list | tuple):
        return change(tensors[0])
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple(change(each) for each in given)


def atleast_1d(*tensors: Any) -> Any:
    """A 0-d tensor as one of one dim; others as they are. Several, or a list, give a tuple."""
    return _each(tensors, lambda each: reshape(each, (1,)) if each.ndim == 0 else each)


def atleast_2d(*tensors: Any) -> Any:
    """Tensors of fewer than two dims with dims of size 1 put in front."""
    return _each(tensors, lambda each: _widened(each, 2))


def _widened(tensor: Any, rank: int) -> Any:
    if tensor.ndim == 0:
        return reshape(tensor, (1,) * rank)
    if tensor.ndim == 1:
        tensor = unsqueeze(tensor, 0)
    return unsqueeze(tensor, -1) if tensor.ndim < rank else tensor


def atleast_3d(*tensors: Any) -> Any:
    """Tensors of fewer than three dims with dims of size 1 put in front, and behind."""
    return _each(tensors, lambda each: _widened(each, 3))
