"""``tensor[key] = value`` and ``index_put_``: written through a view where the key selects by steps, else by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.device import META
from distrt.core.errors import DtypeError
from distrt.core.gpu.places import apart, at, device_of, moved
from distrt.core.modes import modes, used
from distrt.core.ops.indexing.keys import key_beside, own_key, read_key
from distrt.core.ops.indexing.masking import as_element
from distrt.core.ops.indexing.subscripts import _index_put, put_at, require_values_of
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors.history import adopt, require_no_leaf, require_writeable
from distrt.core.tensors.versions import note_change


def set_item(self: Tensor, key: Any, value: Any) -> None:
    """``self[key] = value``: ``value`` is a number, or a tensor that broadcasts to what the key selects.

    Raises:
        TypeError: for a value that is neither.
        ShapeError: for a tensor of another shape.
        DtypeError: for a tensor of another dtype where the key selects by index, which does not convert.
    """
    if used.gpu:
        with at(self._array):
            _set(self, key, value)
    else:
        _set(self, key, value)


def _set(self: Tensor, key: Any, value: Any) -> None:
    _require_value(self, value)
    basic, advanced = read_key(key, self._array.ndim)
    if self._edge is not None or self._base is not None:
        require_no_leaf(self, of_part=self._edge is not None and modes.grad and _is_part(self, basic))
    if modes.grad and (self._edge is not None or (isinstance(value, Tensor) and value._edge is not None)):
        _set_recorded(self, basic, advanced, value)
        return
    require_writeable(self)
    array = self._array
    target = array if basic is None else ops.index(array, basic)
    given = _fitting(value, target, advanced)
    if hasattr(given, "ndim"):
        given = _where_it_goes(given, target)
    if advanced is not None:
        put_at(target, key_beside(advanced, target), given)
    else:
        _write_view(target, given)
    note_change(self._counter)


def _is_part(leaf: Tensor, basic: Any) -> bool:
    """Whether what a key writes to is a view of the tensor, rather than all of it."""
    return leaf.is_leaf and basic is not None and ops.index(leaf._array, basic).shape != leaf._array.shape


def _where_it_goes(given: Array, target: Array) -> Any:
    """What is assigned, to an array on a GPU: one number comes from anywhere, all else has to be there.

    Raises:
        DeviceError: for values on another device.
    """
    if isinstance(target, np.ndarray) and isinstance(given, np.ndarray):
        return given
    here, there = device_of(given), device_of(target)
    if here == there or there is META:
        return moved(given, there)
    if not given.ndim:
        return given.item()
    raise apart("index_put_", there, here)


def _require_value(self: Tensor, value: Any) -> None:
    if isinstance(value, Tensor | bool | int | float | np.integer):
        return
    if not isinstance(value, complex) or isinstance(value, np.generic):
        raise TypeError(f"can't assign a {type(value).__name__} to a {self.dtype} tensor")
    if self.dtype.category < 3 and value.imag:
        raise DtypeError(f"value cannot be converted to type {self.dtype} without overflow")


def _fitting(value: Any, target: Array, advanced: Any) -> Any:
    """What is assigned as an array or a number: without leading dims of size 1 that the target does not have."""
    if not isinstance(value, Tensor):
        return as_element(value, target.dtype)
    given = value._array
    converts = advanced is None
    if advanced is not None and given.size == 1 and _is_whole_mask(advanced):
        converts, given = True, given.reshape(())
    if given.dtype != target.dtype and not converts:
        require_values_of(wrap(target), value)
    if given.dtype.kind == "c" and target.dtype.kind != "c":
        given = given.real
    if advanced is not None or given.ndim > target.ndim:
        lead = 0
        while lead < given.ndim and given.shape[lead] == 1:
            lead += 1
        given = given.reshape(given.shape[lead:])
    return given


def _is_whole_mask(advanced: Any) -> bool:
    return len(advanced) == 1 and advanced[0].dtype == np.bool_


def _write_view(target: Array, given: Any) -> None:
    try:
        target[...] = given
    except ValueError:
        ops.expand(wrap(given), target.shape)  # refuses it, and says which dim does not fit
        raise


def _set_recorded(self: Tensor, basic: Any, advanced: Any, value: Any) -> None:
    target = self if basic is None else ops.index(self, basic)
    if isinstance(value, Tensor):
        fitting = _fitting(value, target._array, advanced)
        if fitting.shape != value._array.shape:
            value = ops.reshape(value, fitting.shape)
        if advanced is None:
            target.copy_(value)
            return
        if value._array.dtype != target._array.dtype:
            value = ops.to_dtype(value, target._array.dtype)
    elif advanced is None:
        target.fill_(value)
        return
    else:
        value = as_element(value, target._array.dtype)
    changed = _index_put(
        wrap(target._array, target._edge), value, own_key(key_beside(advanced, target._array)), False
    )
    adopt(target, changed, "index_put_")
