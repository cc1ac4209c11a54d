"""Sealed memory: others read it, too. A tensor there can be read, and a change in place gives it memory of its own.

Whoever lets several ranks share memory seals what they see of it (``seal``), and says how a tensor that is about to be
changed gets a writeable array instead. ``core/tensors/history.py`` asks before every change in place.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from distrt.core.arrays import Array, address_of, memory_of
from distrt.core.errors import AutogradError

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor

__all__ = ["Release", "ReleaseToCopy", "place_at", "seal", "unseal"]

#: Gives a tensor that is about to be changed writeable memory; the flag says that all of it will be overwritten.
Release: TypeAlias = "Callable[[Tensor, bool], object]"

#: By the id of the array that stands for a piece of sealed memory.
_sealed: dict[int, tuple[weakref.ref[Any], Release]] = {}


def seal(array: Array, release: Release) -> Array:
    """An array of the same memory that nothing can write through.

    It is the base of all its views, so that its references tell whether somebody has one.

    Args:
        array: contiguous.
        release: called with a tensor of that memory, or of a part, before it is changed in place. It must hold neither
            ``array`` nor what is returned.
    """
    owner = (ctypes.c_char * array.nbytes).from_buffer(
        array.reshape(-1).view(np.uint8)
    )  # no array: see `memory_of`
    memory: Array = np.ndarray(array.shape, array.dtype, buffer=memoryview(owner).toreadonly())
    key = id(memory)
    _sealed[key] = weakref.ref(memory, lambda _: _sealed.pop(key, None)), release
    return memory


def unseal(tensor: Tensor, is_overwritten: bool) -> bool:
    """Give a tensor of sealed memory an array that can be written to; False where its memory is not sealed."""
    memory = memory_of(tensor._array)
    known = _sealed.get(id(memory))
    if known is None or known[0]() is not memory:
        return False
    known[1](tensor, is_overwritten)
    if not tensor._array.flags.writeable:
        tensor._array = np.array(tensor._array)
    return True


class ReleaseToCopy:
    """A `Release`: the tensor whose memory it is gets a copy, and a name of a part that is changed goes along.

    A name that was taken before still has the old values: to change it, too, is refused.

    Args:
        owner: the tensor.
    """

    def __init__(self, owner: Tensor) -> None:
        self._owner = weakref.ref(owner)
        self._copy: weakref.ref[Any] | None = None

    def __call__(self, tensor: Tensor, is_overwritten: bool) -> None:
        """Move both.

        Raises:
            AutogradError: the owner has moved without the tensor.
        """
        owner, memory = self._owner(), memory_of(tensor._array)
        if owner is None:
            return
        offset = address_of(tensor._array) - address_of(memory)
        if memory_of(owner._array) is memory:
            owner._array = np.array(owner._array)
            self._copy = weakref.ref(owner._array)
        elif self._copy is not None and self._copy() is owner._array:
            raise AutogradError(
                "this tensor is another name (.data, .detach() or a view) of one whose memory several ranks share, and "
                "that has been changed in place since: take the name anew"
            )
        else:
            return  # the owner has been given other memory since
        if tensor is not owner:
            tensor._array = place_at(owner._array, offset, tensor._array)


def place_at(target: Array, offset: int, like: Array) -> Array:
    """The part of ``target``, which is contiguous, that begins at a byte and lies as ``like`` does."""
    raw = target.reshape(-1).view(np.uint8)
    return np.ndarray(like.shape, like.dtype, raw.data, offset, like.strides)
