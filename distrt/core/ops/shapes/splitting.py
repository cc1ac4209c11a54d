"""Views of the parts of a tensor along one dim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.errors import DimensionError, ShapeError
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensors.history import as_siblings

__all__ = [
    "chunk",
    "dsplit",
    "hsplit",
    "split",
    "split_with_sizes",
    "tensor_split",
    "unbind",
    "unsafe_chunk",
    "unsafe_split",
    "vsplit",
]


def _piece(tensor: Any, axis: int, start: int, stop: int) -> Any:
    return ops.index(tensor, (*[slice(None)] * axis, slice(start, stop)))


def _require_dims(name: str, tensor: Any) -> None:
    if tensor.ndim == 0:
        raise ShapeError(f"{name} expects at least a 1-dimensional tensor")


def split(tensor: Any, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along ``dim``: of one size (the last may be smaller), or of the sizes given."""
    if not isinstance(split_size_or_sections, int):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    _require_dims("split", tensor)
    axis, step = one_dim(dim, tensor.ndim), split_size_or_sections
    length = tensor.shape[axis]
    if step < 0 or (step == 0 and length):
        raise ShapeError(f"split expects split_size be positive, but got split_size={step}")
    if not length:
        return (_piece(tensor, axis, 0, 0),)
    pieces = tuple(_piece(tensor, axis, start, start + step) for start in range(0, length, step))
    return as_siblings(pieces, "SplitBackward0")


def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """Views of consecutive pieces along ``dim``, of the sizes given.

    Raises:
        ShapeError: where the sizes do not add up to that of the dim.
    """
    _require_dims("split_with_sizes", input)
    axis, sizes = one_dim(dim, input.ndim), [int(size) for size in split_sizes]
    length = input.shape[axis]
    if min(sizes, default=0) < 0:
        raise ShapeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={sizes}"
        )
    if sum(sizes) != length:
        raise ShapeError(
            f"split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at dimension "
            f"{axis}), but got split_sizes={sizes}"
        )
    pieces, start = [], 0
    for size in sizes:
        pieces.append(_piece(input, axis, start, start + size))
        start += size
    return as_siblings(tuple(pieces), "SplitWithSizesBackward0")


def unsafe_split(tensor: Any, split_size: int, dim: int = 0) -> tuple[Any, ...]:
    """``split``: here all pieces are views that may safely be changed."""
    return split(tensor, split_size, dim)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` views of equal size along ``dim``; the last may be smaller."""
    _require_dims("chunk", input)
    if chunks <= 0:
        raise ShapeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    axis = one_dim(dim, input.ndim)
    length = input.shape[axis]
    if not length:
        return tuple(_piece(input, axis, 0, 0) for _ in range(chunks))
    return split(input, -(-length // chunks), dim)


def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """``chunk``: here all pieces are views that may safely be changed."""
    return chunk(input, chunks, dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of each slice along ``dim``."""
    axis = one_dim(dim, input.ndim)
    if input.ndim == 0:
        raise DimensionError("Dimension specified as 0 but tensor has no dimensions")
    before = (slice(None),) * axis
    pieces = tuple(
        ops.index(input, (*before, number) if axis else number) for number in range(input.shape[axis])
    )
    return as_siblings(pieces, "UnbindBackward0")


def tensor_split(
    input: Any,
    indices_or_sections: Any = None,
    dim: int = 0,
    *,
    indices: Any = None,
    sections: int | None = None,
) -> tuple[Any, ...]:
    """Views along ``dim``: as many as ``sections``, nearly equal in size, or cut before each of the ``indices``.

    Raises:
        ShapeError: for fewer than one part, a 0-d tensor, or a tensor of positions that is not 0-d or 1-d int64.
    """
    given = next((each for each in (indices_or_sections, indices, sections) if each is not None), None)
    if given is None:
        raise TypeError("tensor_split() missing its indices or sections")
    if input.ndim == 0:
        raise ShapeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    axis = one_dim(dim, input.ndim)
    length, cuts = input.shape[axis], _cuts(given)
    if not isinstance(cuts, int):
        starts, stops = [0, *cuts], [*cuts, length]
        return tuple(_piece(input, axis, start, stop) for start, stop in zip(starts, stops, strict=True))
    if cuts <= 0:
        raise ShapeError(f"number of sections must be larger than 0, got {cuts}")
    size, larger = divmod(length, cuts)
    bounds = [number * size + min(number, larger) for number in range(cuts + 1)]
    return tuple(_piece(input, axis, bounds[n], bounds[n + 1]) for n in range(cuts))


def _cuts(given: Any) -> int | list[int]:
    if isinstance(given, int):
        return given
    if hasattr(given, "tolist"):
        if str(given.dtype).rpartition(".")[2] != "int64" or given.ndim > 1:
            raise ShapeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor "
                f"of dtype long, but got one with {given.ndim} dims and dtype {given.dtype}"
            )
        plain: Any = given.tolist()
        return plain  # type: ignore[no-any-return]
    return [int(each) for each in given]


def _split_along(name: str, input: Any, indices_or_sections: Any, dim: int) -> tuple[Any, ...]:
    sections = indices_or_sections
    if isinstance(sections, int) and (sections <= 0 or input.shape[dim] % sections):
        raise ShapeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]} "
            f"is not divisible by the split_size {sections}!"
        )
    return tensor_split(input, sections, dim)


def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views beside one another: along dim 1, or along the only dim."""
    if input.ndim < 1:
        raise ShapeError(
            "torch.hsplit requires a tensor with at least 1 dimension, but got a tensor with 0 dimensions!"
        )
    return _split_along("hsplit", input, indices_or_sections, 0 if input.ndim == 1 else 1)


def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views below one another, along dim 0."""
    if input.ndim < 2:
        raise ShapeError(
            f"torch.vsplit requires a tensor with at least 2 dimension, but got a tensor with {input.ndim} dimensions!"
        )
    return _split_along("vsplit", input, indices_or_sections, 0)


def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Views behind one another, along dim 2."""
    if input.ndim < 3:
        raise ShapeError(
            f"torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with {input.ndim} dimensions!"
        )
    return _split_along("dsplit", input, indices_or_sections, 2)
