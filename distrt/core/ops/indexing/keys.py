"""Reading the key of ``tensor[key]``: what a user may write, in PyTorch's words where it does not fit.

PyTorch applies a key in two steps, and NumPy in one, which differ where integers stand beside index tensors. So a key
is split here: the *basic* key of integers, slices, None and Ellipsis, and the *advanced* key of arrays and
``slice(None)`` that is then applied to the view. A bool is a new dim of size 1, from which True takes its one element
and False none.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from distrt.core.arrays import Array, is_array, is_on_gpu
from distrt.core.errors import DimensionError
from distrt.core.gpu.places import table
from distrt.core.kernels import on_gpu
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

Key = tuple[Any, ...]

_WHOLE = slice(None)
_ALL: tuple[Any, ...] = (Ellipsis,)
_AS_TUPLE_BELOW = 32  # a list that is shorter and has structure counts as a tuple, as old NumPy had it


def as_tuple(key: Any) -> Key:
    """``x[1]`` and ``x[1,]`` are the same."""
    return key if isinstance(key, tuple) else (key,)


def read_key(key: Any, ndim: int) -> tuple[Key | None, Key | None]:
    """Splits a key for a tensor of ``ndim`` dims into its basic and its advanced part; None where there is none.

    Raises:
        DimensionError: for a part of another kind, or too many parts.
        TypeError: for text, or a slice between other things than integers.
        ValueError: for a slice that goes backwards.
    """
    parts = [_part(each) for each in _parts_of(key)]
    if not any(isinstance(part, bool) or is_array(part) for part in parts):
        return tuple(parts), None
    used = sum(_dims_taken(part) for part in parts)
    if used > ndim:
        raise DimensionError(f"too many indices for tensor of dimension {ndim}")
    basic: list[Any] = []
    advanced: list[Any] = []
    for part in parts:
        if is_array(part):
            basic += [_WHOLE] * _dims_taken(part)
            advanced.append(part)
        elif isinstance(part, bool):
            basic.append(None)
            advanced.append(np.zeros(int(part), np.int64))
        else:
            basic.append(part)
            advanced += [_WHOLE] * ((ndim - used) if part is Ellipsis else not isinstance(part, int))
    while advanced[-1] is _WHOLE:
        advanced.pop()
    changes = any(part is not Ellipsis and part != _WHOLE for part in basic)
    return (tuple(basic) if changes else None), tuple(advanced)


def _parts_of(key: Any) -> tuple[Any, ...]:
    if isinstance(key, tuple):
        return key
    if isinstance(key, list) and len(key) < _AS_TUPLE_BELOW and any(map(_has_structure, key)):
        warn(
            "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch "
            "2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted as tensor index, "
            "x[torch.tensor(seq)], which will result either in an error or a different result"
        )
        return tuple(key)
    return (key,)


def _has_structure(part: Any) -> bool:
    return (
        part is None or part is Ellipsis or isinstance(part, Tensor | np.ndarray | list | tuple | slice | str)
    )


def _part(part: Any) -> Any:
    """One part of a key: an int, a slice, None, Ellipsis, a bool, or an array of int64 or bool."""
    kind = part.__class__
    if kind is int or kind is bool or part is None or part is Ellipsis:
        return part
    if kind is slice:
        return _slice(part)
    if isinstance(part, Tensor | list | tuple | range) or is_array(part):
        return array_part(part)
    if isinstance(part, str | bytes):
        raise TypeError(f"an index cannot be text: {part!r}")
    if isinstance(part, np.bool_) or not hasattr(part, "__index__"):
        raise DimensionError(
            "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
            f"{type(part).__name__})"
        )
    return operator.index(part)


def _slice(part: slice) -> slice:
    if part.step is None and part.start.__class__ in _PLAIN and part.stop.__class__ in _PLAIN:
        return part
    try:
        bounds = [
            each if each is None else operator.index(each) for each in (part.start, part.stop, part.step)
        ]
    except TypeError:
        raise TypeError("slice indices must be integers or None or have an __index__ method") from None
    if bounds[2] is not None and bounds[2] <= 0:
        raise ValueError("step must be greater than zero")
    return slice(*bounds)


_PLAIN = frozenset((int, type(None)))


def array_part(part: Any) -> Any:
    """An index tensor, array or sequence as an array of integers or bools; of 0 dims, as an int or a bool.

    Raises:
        DimensionError: for a tensor of another dtype.
        TypeError: for what holds no integers.
    """
    if isinstance(part, Tensor):
        array = part._array
        if array.dtype == np.uint8 and array.ndim == 0:
            return bool(array)
        if array.dtype == np.uint8:
            warn("indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.")
            array = array.astype(np.bool_)
        if array.dtype not in _INDEX_DTYPES:
            raise DimensionError("tensors used as indices must be long, int, byte or bool tensors")
    else:
        array = _index_array(part)
    if array.ndim == 0:
        return bool(array) if array.dtype == np.bool_ else int(array)
    return array


_INDEX_DTYPES = frozenset((np.dtype(np.int64), np.dtype(np.int32), np.dtype(np.bool_)))


def _index_array(part: Any) -> Array:
    values = part if is_array(part) else np.asarray(_plain(part), None if len(part) else np.int64)
    if values.dtype.kind not in "biuf":
        raise TypeError(f"an index holds integers or bools, not {values.dtype}: {part!r:.60}")
    return values if values.dtype == np.bool_ else values.astype(np.int64)


def _plain(sequence: Any) -> Any:
    """Nested sequences of numbers, without tensors; the first number says whether they are bools, as in PyTorch."""
    values = [
        _plain(each)
        if isinstance(each, list | tuple | range)
        else (each.tolist() if hasattr(each, "tolist") else each)
        for each in sequence
    ]
    if values and not isinstance(values[0], list | bool | str):
        return [int(each) if isinstance(each, bool) else each for each in values]
    return values


def own_key(key: Any) -> Any:
    """The key with copies of its arrays: backward uses it again, and its owner may change it until then."""
    if isinstance(key, tuple):
        return tuple(own_key(each) for each in key)
    return key.copy() if is_array(key) else key


def key_beside(key: Any, array: Array) -> Any:
    """The key with its arrays where ``array`` is: lists and tensors on the CPU index a tensor on a GPU, too."""
    if isinstance(array, np.ndarray):
        return key
    return tuple(table(part, array) if isinstance(part, np.ndarray) else part for part in key)


def require_numbers(key: Any, array: Array) -> None:
    """Lets a later wait raise DimensionError for an index out of range on a GPU, where CuPy would begin again."""
    dim = 0
    for part in as_tuple(key):
        if is_on_gpu(part) and part.dtype != np.bool_ and dim < array.ndim:
            size = array.shape[dim]
            message = f"index {{0}} is out of bounds for dimension {dim} with size {{1}}"
            on_gpu.checks.require_range(part, -size, size, message)
        dim += _dims_taken(part)


def is_view_key(key: Any) -> bool:
    """True where a key that was read selects by steps only, so that the result is a view."""
    return not any(is_array(each) for each in as_tuple(key))


def _is_mask(part: Any) -> bool:
    return is_array(part) and part.dtype == np.bool_


def _dims_taken(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if _is_mask(part) else 1


# What NumPy refused, in PyTorch's words


def explain_basic(parts: Key, shape: tuple[int, ...]) -> Exception:
    """The error for integers and slices that do not fit a shape."""
    used = sum(_dims_taken(part) for part in parts)
    if not shape and used:
        return DimensionError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    if used > len(shape):
        return DimensionError(f"too many indices for tensor of dimension {len(shape)}")
    dim = 0
    for number, part in enumerate(parts):
        if part is Ellipsis:
            dim = len(shape) - sum(_dims_taken(later) for later in parts[number + 1 :])
        elif isinstance(part, int) and not -shape[dim] <= part < shape[dim]:
            return DimensionError(f"index {part} is out of bounds for dimension {dim} with size {shape[dim]}")
        else:
            dim += _dims_taken(part)
    return DimensionError(f"the index does not fit a tensor of shape {list(shape)}: one Ellipsis at most")


def explain_advanced(parts: Any, shape: tuple[int, ...]) -> Exception:
    """The error for index arrays and masks that do not fit a shape."""
    dim = 0
    for part in as_tuple(parts):
        wrong = _misfit(part, dim, shape)
        if wrong is not None:
            return wrong
        dim += _dims_taken(part)
    listed = [list(part.shape) for part in as_tuple(parts) if is_array(part)]
    return DimensionError(
        "shape mismatch: indexing tensors could not be broadcast together with shapes "
        + ", ".join(map(str, listed))
    )


def _misfit(part: Any, dim: int, shape: tuple[int, ...]) -> DimensionError | None:
    if _is_mask(part):
        have = shape[dim : dim + part.ndim]
        wrong = next((n for n, size in enumerate(part.shape) if n >= len(have) or have[n] != size), None)
        if wrong is not None:
            return DimensionError(
                f"The shape of the mask {list(part.shape)} at index {wrong} does not match the shape of the indexed "
                f"tensor {list(shape)} at index {dim + wrong}"
            )
    elif is_array(part) and part.size:
        if dim >= len(shape):
            return DimensionError(f"too many indices for tensor of dimension {len(shape)}")
        outside = (part < -shape[dim]) | (part >= shape[dim])
        if outside.any():
            first = int(part[outside].flat[0])
            return DimensionError(
                f"index {first} is out of bounds for dimension {dim} with size {shape[dim]}"
            )
    return None
