"""Buffers in the shared segment that belong to something that may be dropped: a wrapped model, which just goes away.

Giving memory back is a collective, and garbage is collected when each rank's interpreter pleases. So what was dropped
is noted, and when the ranks next come together to build something on the same group, they give back what all of them
have dropped.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from distrt.comm.process_group import ProcessGroup, ReduceOp
from distrt.core.arrays import Array, is_on_gpu

__all__ = ["Lease", "allocate_leased", "give_back", "reclaim", "renew"]


class Lease:
    """What one owner has allocated, and how it takes its leave. It must not refer to the owner."""

    def __init__(self) -> None:
        self.is_over = False
        self._farewells: list[Callable[[], object]] = []

    def when_over(self, farewell: Callable[[], object]) -> None:
        """Call ``farewell`` when the owner is gone; it runs wherever garbage is collected, and may not communicate."""
        self._farewells.append(farewell)

    def end(self) -> None:
        """The owner is gone."""
        self.is_over = True
        farewells, self._farewells = self._farewells, []
        for farewell in farewells:
            farewell()

    def end_with(self, owner: object) -> None:
        """Be over as soon as ``owner`` is garbage."""
        weakref.finalize(owner, self.end).atexit = False


class _Leased:
    """One buffer."""

    def __init__(self, array: Array, lease: Lease, users: Iterable[Any]) -> None:
        self.array = array
        self.lease = lease
        self.users = [weakref.ref(user) for user in users]
        self.references = 0  # to the array, while nobody looks at it

    def count(self) -> int:
        """How many references there are to the array now."""
        return sys.getrefcount(self.array)

    def is_free(self) -> bool:
        """Whether nobody on this rank needs the buffer, once gradients that are still held have moved out."""
        if not self.lease.is_over:
            return False
        for reference in self.users:
            if (parameter := reference()) is not None:
                self._move_out(parameter)
        return self.count() <= self.references

    def _move_out(self, parameter: Any) -> None:
        slot, gradient = parameter._grad_slot, parameter._grad
        if slot is not None and np.may_share_memory(slot, self.array):
            parameter._grad_slot = None
        if gradient is not None and np.may_share_memory(gradient._array, self.array):
            gradient._array = np.array(gradient._array)


#: The buffers of each group, in the order of their allocation, which all its ranks share.
_leased: weakref.WeakKeyDictionary[ProcessGroup, list[_Leased]] = weakref.WeakKeyDictionary()


def allocate_leased(
    group: ProcessGroup,
    size: int,
    dtype: np.dtype[Any],
    lease: Lease,
    users: Iterable[Any] = (),
    like: Array | None = None,
) -> Array:
    """A buffer, as ``group.allocate`` gives it, for as long as the lease; a collective.

    Args:
        group: the ranks.
        size: the number of elements.
        dtype: theirs.
        lease: of whoever owns the buffer.
        users: parameters whose gradients will lie in it.
        like: an array; where that is on a GPU, so is the buffer. It is this rank's alone, and goes with its last view.
    """
    if like is not None and is_on_gpu(like):
        return np.zeros(size, dtype, like=like)
    leased = _Leased(group.allocate((size,), dtype), lease, users)
    leased.references = leased.count()
    _leased.setdefault(group, []).append(leased)
    return leased.array


def renew(group: ProcessGroup, array: Array) -> Array:
    """A new array for a leased buffer; views of the old one keep its values (`ProcessGroup.renew`)."""
    if is_on_gpu(array):
        return array.copy()
    (leased,) = (each for each in _leased[group] if each.array is array)
    leased.array = group.renew(array)
    return leased.array


def give_back(group: ProcessGroup, array: Array) -> None:
    """Free a leased buffer before its time; a collective."""
    if is_on_gpu(array):
        return
    _leased[group] = [each for each in _leased[group] if each.array is not array]
    group.free(array)


def reclaim(group: ProcessGroup) -> int:
    """Free what all ranks have dropped; a collective where the group has leased buffers. How many that were."""
    leased = _leased.get(group)
    if not leased:
        return 0
    is_free = np.array([each.is_free() for each in leased], np.uint8)
    group.all_reduce(is_free, ReduceOp.MIN)
    _leased[group] = [each for each, goes in zip(leased, is_free, strict=True) if not goes]
    for each, goes in zip(leased, is_free, strict=True):
        if goes:
            group.free(each.array)
    return int(is_free.sum())
