"""``tensor[key]``: reading and writing what a key selects.

A key of integers, slices, None and Ellipsis selects by steps and gives a view. What a key has beside that
(lists, masks, index tensors) is applied to this view and gives a copy. Assignment is in ``core/tensors/assignment.py``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, array_module, beside
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.indexing.adding_at import add_at
from distrt.core.ops.indexing.keys import (
    Key,
    array_part,
    as_tuple,
    explain_advanced,
    explain_basic,
    is_view_key,
    key_beside,
    own_key,
    read_key,
    require_numbers,
)
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import Tensor

__all__ = [
    "index",
    "index_put",
    "index_scatter",
    "narrow",
    "select",
    "select_scatter",
    "slice_scatter",
]


@op(view=True, node="Slice")
def _index_view(input: Array, key: Any) -> Array:
    """``input[key]`` as a view."""
    return _viewed(input, key)


_index_view.node(lambda node: "Unsqueeze" if _last_step(as_tuple(node.given("key"))) is None else "Slice")


def _last_step(parts: Iterable[Any]) -> Any:
    """The last part of a key that does more than keep whole dims; Ellipsis where none does."""
    steps = [part for part in parts if part is not Ellipsis and part != slice(None)]
    return steps[-1] if steps else Ellipsis


@op(view=True, node="Select")
def _select_view(input: Array, key: Any) -> Array:
    """``input[key]`` as a view, by a key whose last step takes one position: PyTorch names the node after it."""
    return _viewed(input, key)


def _viewed(input: Array, key: Any) -> Array:
    parts = as_tuple(key)
    try:
        return input[parts] if Ellipsis in parts else input[(*parts, ...)]  # an Ellipsis keeps a 0-d array
    except IndexError:
        raise explain_basic(parts, input.shape) from None


@op(node="Index")
def _index_copy(input: Array, key: Any) -> Array:
    """``input[key]`` as a copy."""
    if used.gpu:
        require_numbers(key, input)
    try:
        picked = input[key]
    except IndexError:
        raise explain_advanced(key, input.shape) from None
    return picked if picked.flags.c_contiguous else picked.copy()


@op()
def index_scatter(input: Array, shape: tuple[int, ...], key: Any) -> Array:
    """Zeros of ``shape`` with ``input`` added at ``key``: the derivative of indexing."""
    scattered = array_module(input).zeros(shape, input.dtype)
    if is_view_key(key):
        scattered[key] = input
    else:
        add_at(scattered, key, input)
    return scattered


_index_view.gradient(input=lambda g, input_meta, key: index_scatter(g, input_meta.shape, key))
_select_view.gradient(input=lambda g, input_meta, key: index_scatter(g, input_meta.shape, key))
_index_copy.gradient(input=lambda g, input_meta, key: index_scatter(g, input_meta.shape, key))
index_scatter.gradient(input=lambda g, key: index(g, key))


def index(input: Any, key: Any) -> Any:
    """``input[key]``: a view for integers, slices, None and Ellipsis; a copy for lists, masks and index tensors."""
    kind = key.__class__
    if kind is int:
        return _select_view(input, key)
    if kind is slice and key.step is None:
        return _index_view(input, key)
    basic, advanced = read_key(key, input.ndim)
    if basic is not None:
        input = (_select_view if isinstance(_last_step(basic), int) else _index_view)(input, basic)
    if advanced is None:
        return input
    advanced = key_beside(advanced, beside(input))
    return _index_copy(input, own_key(advanced) if getattr(input, "requires_grad", False) else advanced)


# Writing


@op(node="IndexPut")
def _index_put(input: Array, values: Array | Scalar, key: Any, accumulate: bool) -> Array:
    """A copy of ``input`` with ``values`` written at (or added to what is at) ``key``."""
    changed = np.array(input, like=input)
    put_at(changed, key, values, accumulate)
    return changed


def put_at(target: Array, key: Key, values: Any, accumulate: bool = False) -> None:
    """Writes, or adds, ``values`` at an advanced key.

    Raises:
        DimensionError: for an index out of range.
        ShapeError: for values of another shape.
    """
    if used.gpu:
        require_numbers(key, target)
    try:
        if accumulate:
            add_at(target, key, values)
        else:
            target[key] = values
    except IndexError:
        raise explain_advanced(key, target.shape) from None
    except (ValueError, TypeError):
        wanted = list(target[key].shape)
        raise ShapeError(
            f"shape mismatch: value tensor of shape {list(np.shape(values))} cannot be broadcast to indexing result of "
            f"shape {wanted}"
        ) from None


_index_put.gradient(
    input=lambda g, key, accumulate: g if accumulate else _index_put(g, 0.0, key, False),
    values=lambda g, key: _index_copy(g, key),
)


@takes_out
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """A copy of ``input`` with ``values`` written, or with ``accumulate`` added, at ``indices``, a tensor for each dim.

    Where a place is named twice, one of its values stays; with ``accumulate`` all are added.

    Raises:
        DtypeError: for values of another dtype.
    """
    if not isinstance(indices, tuple | list):
        raise TypeError(
            f"index_put(): argument 'indices' must be tuple of Tensors, not {type(indices).__name__}"
        )
    if not hasattr(values, "dtype"):
        raise TypeError(f"index_put(): argument 'values' must be Tensor, not {type(values).__name__}")
    require_values_of(input, values)
    key = tuple(slice(None) if each is None else array_part(each) for each in indices)
    return _index_put(input, values, own_key(key), accumulate)


def require_values_of(input: Any, values: Any) -> None:
    """Raises DtypeError where ``values`` have another dtype than ``input``: writing by index does not convert."""
    if values.dtype != input.dtype:
        raise DtypeError(
            f"Index put requires the source and destination dtypes match, got {input.dtype} for the destination and "
            f"{values.dtype} for the source."
        )


# One slice of a dim, and putting it back


def _along(dim: int, part: Any) -> tuple[Any, ...]:
    return (*[slice(None)] * dim, part)


def select(input: Any, dim: int, index: Any) -> Any:
    """The view at position ``index`` of ``dim``, without that dim."""
    if input.ndim == 0:
        raise DimensionError("select() cannot be applied to a 0-dim tensor.")
    axis, position, size = one_dim(dim, input.ndim), int(index), input.shape[dim]
    if not -size <= position < size:
        raise DimensionError(
            f"select(): index {position} out of range for tensor of size {list(input.shape)} at dimension {axis}"
        )
    return _select_view(input, _along(axis, position))


def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """The view of ``length`` positions of ``dim`` from ``start`` on.

    Raises:
        ShapeError: where they reach beyond the dim.
        DimensionError: where ``start`` does.
    """
    if input.ndim == 0:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise ShapeError("narrow(): length must be non-negative.")
    if isinstance(start, Tensor) and (start.ndim or start._array.dtype.kind not in "iu"):
        raise ShapeError("start must be an 0-dim integral Tensor.")
    axis, begin, size = one_dim(dim, input.ndim), int(start), input.shape[dim]
    if not -size <= begin <= size:
        raise DimensionError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {begin})"
        )
    begin = begin + size if begin < 0 else begin
    if begin + length > size:
        raise ShapeError(f"start ({begin}) + length ({length}) exceeds dimension size ({size}).")
    return _index_view(input, _along(axis, slice(begin, begin + length)))


@op(node="SliceScatter")
def _scattered(input: Array, src: Array, key: Any) -> Array:
    """A copy of ``input`` with ``src`` in the place of ``input[key]``."""
    changed = input.copy()
    part = changed[(*key, ...)]
    if part.shape != src.shape:
        raise ShapeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
            f"slice size = {list(part.shape)}"
        )
    part[...] = src
    return changed


_scattered.gradient(
    input=lambda g, key, src_meta: _scattered(g, np.zeros(src_meta.shape, g_dtype(g), like=beside(g)), key),
    src=lambda g, key: index(g, key),
)


def g_dtype(g: Any) -> np.dtype[Any]:
    """The NumPy dtype of an array or a tensor."""
    return getattr(g, "_array", g).dtype  # type: ignore[no-any-return]


@takes_out
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy of ``input`` with ``src`` in the place of ``input[start:end:step]`` along ``dim``."""
    if step <= 0:
        raise ShapeError("slice step must be positive")
    return _scattered(input, src, _along(one_dim(dim, input.ndim), slice(start, end, step)))


@takes_out
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of ``input`` with ``src`` in the place of ``input.select(dim, index)``."""
    select(input, dim, index)  # refuses what is out of range
    return _scattered(input, src, _along(one_dim(dim, input.ndim), int(index)))
