"""Memory that forked processes share: ``tensor.share_memory_()``.

An anonymous map made with MAP_SHARED: a child process that is forked afterwards reads and writes the same pages.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np

from distrt.core.arrays import Array, memory_of, place_in, place_of, row_of
from distrt.core.shared_memory import SharedRow
from distrt.core.versions import live_views

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor


class FileMap(mmap.mmap):
    """A map of a file, which belongs to one process."""


def is_shared(array: Array) -> bool:
    """True where the memory of an array is a shared map."""
    owner = memory_of(array).base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return isinstance(owner, mmap.mmap | SharedRow) and not isinstance(owner, FileMap)


def share_memory_(self: Tensor) -> Tensor:
    """Moves the memory to where processes forked from now on share it, and with it the tensor's base and its views.

    Memory that is shared already stays where it is. Returns this tensor.
    """
    array = self._array
    if is_shared(array) or not array.size:
        return self
    old = row_of(array).view(np.uint8)
    new = np.frombuffer(mmap.mmap(-1, old.nbytes), np.uint8)
    new[...] = old
    base = self if self._base is None else self._base
    family = {id(each): each for each in (self, base, *live_views(self._counter))}
    memory = memory_of(array)
    for each in family.values():
        if memory_of(each._array) is memory:
            each._array = place_in(new, place_of(each._array))
    return self
