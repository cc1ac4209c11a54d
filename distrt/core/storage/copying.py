"""Copies and pickles of tensors: what shared memory before shares it afterwards.

``copy.deepcopy`` copies each piece of memory once for all tensors in it; so does a pickle, because it knows the array
that owns the memory again. The third base class of ``Tensor``.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable
from typing import Any

from distrt.core.arrays import Array, Place, is_writeable, memory_of, place_in, place_of, row_of
from distrt.core.errors import AutogradError
from distrt.core.sparse.array import is_sparse

#: The attributes that a tensor has as a tensor; all others were put on it by users, and go with it.
OWN = frozenset(
    (
        "_array",
        "_base",
        "_counter",
        "_edge",
        "_grad",
        "_grad_slot",
        "_inner",
        "_leaf_edge",
        "_made_without_grad",
        "_one_of_several",
        "_updater",
    )
)


class Copying:
    """How tensors are copied and pickled."""

    _array: Array

    #: Is told of each class of tensors (``core/storage/sharing.py``).
    _on_subclass: Callable[[type], None] = staticmethod(lambda kind: None)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        Copying._on_subclass(cls)

    def __deepcopy__(self: Any, memo: dict[int, Any]) -> Any:
        if id(self) in memo:
            return memo[id(self)]
        if not self.is_leaf:
            raise AutogradError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment. Take a detach() or a clone().detach() of it first."
            )
        if is_sparse(self._array):
            copied = rebuild_sparse(type(self), self._array.copy(), self.requires_grad)
        else:
            row = _copied_row(memory_of(self._array), memo)
            copied = rebuild(type(self), row, place_of(self._array), self.requires_grad)
        memo[id(self)] = copied
        if self._grad is not None:
            copied._grad = copy.deepcopy(self._grad, memo)
        for name, value in attributes_of(self).items():
            setattr(copied, name, copy.deepcopy(value, memo))
        return copied

    def __reduce_ex__(self: Any, protocol: Any) -> Any:
        if is_sparse(self._array):
            return rebuild_sparse, (type(self), self._array, self.requires_grad, attributes_of(self))
        memory = memory_of(self._array)
        if not (memory.flags.c_contiguous or memory.flags.f_contiguous):
            memory = row_of(memory)  # NumPy would pickle it in another order
        place = place_of(self._array)
        return rebuild, (type(self), memory, place, self.requires_grad, attributes_of(self))


def attributes_of(tensor: Any) -> dict[str, Any]:
    """What users have put on a tensor."""
    return {name: value for name, value in vars(tensor).items() if name not in OWN}


def _copied_row(memory: Array, memo: dict[int, Any]) -> Array:
    """A copy of memory: the same one for every tensor of one deep copy."""
    if id(memory) not in memo:
        memo[id(memory)] = row_of(memory).copy()
        memo.setdefault(id(memo), []).append(memory)  # so that no other array gets its id meanwhile
    return memo[id(memory)]


def rebuild(
    cls: type, memory: Array, place: Place, requires_grad: bool, attributes: dict[str, Any] | None = None
) -> Any:
    """A tensor at a place in memory, with what users had put on it: what a pickle of one calls."""
    import distrt.core.tensors.methods  # noqa: F401 - a process may unpickle a tensor before it has used any name of distrt

    tensor: Any = object.__new__(cls)
    tensor._array = place_in(row_of(_writeable(memory)), place)
    tensor._counter = [0]
    tensor.requires_grad_(requires_grad)
    vars(tensor).update(attributes or {})
    return tensor


def rebuild_sparse(
    cls: type, array: Any, requires_grad: bool, attributes: dict[str, Any] | None = None
) -> Any:
    """The same of a sparse tensor, whose parts a pickle has as they are."""
    import distrt.core.tensors.methods  # noqa: F401 - as above

    tensor: Any = object.__new__(cls)
    tensor._array = array.with_parts(*map(_writeable, array.parts()))
    tensor._counter = [0]
    tensor.requires_grad_(requires_grad)
    vars(tensor).update(attributes or {})
    return tensor


#: By the number of an array that cannot be written to: the one in its place, for as long as the array is there.
_in_place_of: dict[int, Array] = {}


def _writeable(memory: Array) -> Array:
    """The memory, or what all tensors of one pickle get for it: protocol 5 brings read-only arrays back as such."""
    if is_writeable(memory):
        return memory
    number = id(memory)
    if number not in _in_place_of:
        _in_place_of[number] = memory.copy()
        weakref.finalize(memory, _in_place_of.pop, number, None).atexit = False
    return _in_place_of[number]
