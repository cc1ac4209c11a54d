"""From a list of samples to a batch: tensors with one more dim in front, in the structure the samples have.

``DataLoader`` calls ``default_collate`` on a batch of samples, and ``default_convert`` where batching is off.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.creation import as_tensor, tensor
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ShapeError
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.formats import strided
from distrt.data.workers.info import room_for_batch

CollateFn = Callable[..., Any]
CollateMap = dict[type | tuple[type, ...], CollateFn]

np_str_obj_array_pattern = re.compile(r"[SaUO]")  # dtype kinds of NumPy: bytes, text, objects
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_collate(batch: Any) -> Any:
    """Makes a batch of a list of samples.

    Tensors and NumPy arrays are stacked; floats become a float64 tensor, ints int64, bools bool; text and
    bytes stay a list; mappings, named tuples and sequences are collated field by field (a plain tuple becomes
    a list).

    Raises:
        ShapeError: where tensors or sequences differ in size from sample to sample.
        TypeError: for anything else; ``collate_fn`` is the way to batch it.
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """``default_collate`` with another table of functions for the leaves.

    Args:
        batch: the samples.
        collate_fn_map: type (or tuple of types) -> ``f(batch, *, collate_fn_map)``. The exact type of the
            first sample is looked up first, then its base types in the table's order.
    """
    first = batch[0]
    function = _function_for(first, collate_fn_map or {})
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)

    def inner(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _like_mapping(first, {key: inner([sample[key] for sample in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(inner, zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        sizes = [len(sample) for sample in batch]
        if len(set(sizes)) > 1:
            raise ShapeError(
                f"each element in list of batch should be of equal size, but the sizes are {sizes}"
            )
        return _like_sequence(first, [inner(field) for field in zip(*batch, strict=True)])
    raise _refusal(type(first))


def default_convert(data: Any) -> Any:
    """Turns the NumPy arrays and scalars inside one sample into tensors, and leaves the rest as it is."""
    if isinstance(data, np.ndarray | np.generic):
        return data if np_str_obj_array_pattern.match(data.dtype.kind) else as_tensor(data)
    if isinstance(data, Tensor | str | bytes):
        return data
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence):
        return _like_sequence(data, [default_convert(value) for value in data])
    return data


def _function_for(sample: Any, table: CollateMap) -> CollateFn | None:
    if type(sample) in table:
        return table[type(sample)]
    return next((function for types, function in table.items() if isinstance(sample, types)), None)


def _like_mapping(original: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    """``items`` in a mapping of the original's type, with its other attributes, where the type allows it."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(items)
            return clone
        return type(original)(items)  # type: ignore[call-arg]  # TypeError is what the except is for
    except TypeError:
        return items


def _like_sequence(original: Sequence[Any], items: list[Any]) -> Any:
    """``items`` in a sequence of the original's type where the type allows it; a tuple becomes a list."""
    if isinstance(original, tuple):
        return items
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(original)(items)  # type: ignore[call-arg]
    except TypeError:
        return items


def _refusal(found: Any) -> TypeError:
    return TypeError(
        f"{default_collate_err_msg_format.format(found)}; pass collate_fn to batch anything else"
    )


def collate_tensor_fn(batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stacks tensors; in a worker, straight into memory that the parent sees."""
    first = batch[0]
    if first.layout is not strided:
        raise RuntimeError(
            "Batches of sparse tensors are not currently supported by the default collate_fn; please provide a custom "
            "collate_fn to handle them appropriately."
        )
    if not first.requires_grad:
        room = room_for_batch((len(batch), *first.shape), first._array.dtype)
        if room is not None and all(type(each) is type(first) and _is_like(each, first) for each in batch):
            np.stack([each._array for each in batch], out=room)
            return wrap(room)
    return ops.stack(batch, 0)


def _is_like(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and not one.requires_grad


def collate_numpy_array_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stacks arrays of numbers as tensors."""
    if np_str_obj_array_pattern.match(batch[0].dtype.kind):
        raise _refusal(batch[0].dtype)
    return collate([as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """One tensor of NumPy's numbers, of their dtype."""
    return as_tensor(np.array(batch))


def collate_float_fn(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """A float64 tensor."""
    return tensor(batch, dtype=dt.float64)


def collate_int_fn(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """An int64 tensor, or one of bools."""
    return tensor(batch)


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Sequence[Any]:
    """Text and bytes as they are."""
    return batch


# The order is the order of the look-up: NumPy's float64 is also a float, and must be met as a NumPy scalar.
default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}
