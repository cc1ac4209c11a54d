"""Reading the key of ``tensor[key]``: what a user may write, in PyTorch's words where it does not fit."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from distrt.core.errors import DimensionError
from distrt.core.tensor import Tensor


def as_tuple(key: Any) -> tuple[Any, ...]:
    """``x[1]`` and ``x[1,]`` are the same."""
    return key if isinstance(key, tuple) else (key,)


def plain_key(key: Any) -> Any:
    """The key with arrays for tensors and lists, and Python's integers for NumPy's."""
    if isinstance(key, Tensor):
        array = key._array
        if array.dtype == np.uint8:
            warnings.warn(
                "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                UserWarning,
                stacklevel=4,
            )
            return array.astype(np.bool_)
        return int(array) if array.ndim == 0 and array.dtype.kind == "i" else array
    if isinstance(key, tuple):
        return tuple(plain_key(each) for each in key)
    if isinstance(key, list):
        return np.asarray([plain_key(each) for each in key], None if key else np.int64)
    if isinstance(key, slice):
        return slice(
            *(each if each is None else each.__index__() for each in (key.start, key.stop, key.step))
        )
    if isinstance(key, np.integer):
        return int(key)
    return key


def own_key(key: Any) -> Any:
    """The key with copies of its arrays: backward uses it again, and its owner may change it until then."""
    if isinstance(key, tuple):
        return tuple(own_key(each) for each in key)
    return key.copy() if isinstance(key, np.ndarray) else key


def is_view_key(key: Any) -> bool:
    """True where the key selects by steps only, so that the result is a view."""
    return all(
        each is None or each is Ellipsis or isinstance(each, slice) or _is_int(each) for each in as_tuple(key)
    )


def _is_int(part: Any) -> bool:
    return isinstance(part, int) and not isinstance(part, bool)


def _is_mask(part: Any) -> bool:
    return isinstance(part, np.ndarray) and part.dtype == np.bool_


def check_key(key: Any, shape: tuple[int, ...]) -> None:
    """Holds a key against the shape that it indexes.

    Raises:
        DimensionError: for an index out of range, one too many, or one of another kind.
        TypeError: for text.
        ValueError: for a slice that goes backwards.
    """
    parts = as_tuple(key)
    for part in parts:
        _check_kind(part)
    used = sum(_dims_taken(part) for part in parts)
    if used > len(shape):
        if not shape:
            raise DimensionError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` to convert it to a number"
            )
        raise DimensionError(f"too many indices for tensor of dimension {len(shape)}")
    dim = 0
    for number, part in enumerate(parts):
        if part is Ellipsis:
            dim = len(shape) - sum(_dims_taken(later) for later in parts[number + 1 :])
            continue
        _check_range(part, dim, shape)
        dim += _dims_taken(part)
    _check_together([part.shape for part in parts if isinstance(part, np.ndarray) and not _is_mask(part)])


def _check_kind(part: Any) -> None:
    if part is None or part is Ellipsis or isinstance(part, slice | int):
        return
    if isinstance(part, str | bytes):
        raise TypeError(f"an index cannot be text: {part!r}")
    if not isinstance(part, np.ndarray):
        raise DimensionError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
            f"{type(part).__name__})"
        )
    if part.dtype.kind not in "biu":
        raise DimensionError("tensors used as indices must be long, int, byte or bool tensors")


def _dims_taken(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if _is_mask(part) else 1


def _check_range(part: Any, dim: int, shape: tuple[int, ...]) -> None:
    if isinstance(part, slice):
        if (part.step or 1) <= 0:
            raise ValueError("step must be greater than zero")
    elif _is_int(part):
        if not -shape[dim] <= part < shape[dim]:
            raise DimensionError(f"index {part} is out of bounds for dimension {dim} with size {shape[dim]}")
    elif _is_mask(part):
        if part.shape != shape[dim : dim + part.ndim]:
            raise DimensionError(
                f"The shape of the mask {list(part.shape)} at index {dim} does not match the shape of the indexed "
                f"tensor {list(shape)} at index {dim}"
            )
    elif isinstance(part, np.ndarray):
        outside = (part < -shape[dim]) | (part >= shape[dim])
        if outside.any():
            first = int(part[outside].flat[0])
            raise DimensionError(f"index {first} is out of bounds for dimension {dim} with size {shape[dim]}")


def _check_together(shapes: list[tuple[int, ...]]) -> None:
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        listed = ", ".join(str(list(shape)) for shape in shapes)
        raise DimensionError(
            f"shape mismatch: indexing tensors could not be combined with shapes {listed}"
        ) from None
