"""Several wrappers in one backward pass: ranks finish them in one order, and a parameter of two of them is no race.

Two collectives of different groups end only if all their ranks come to wait for them. So everything is launched before
anything is waited for, and all ranks wait in one order, that of construction: which gradient comes first may differ.

A parameter may belong to several wrappers: one inside of another, or tied weights in two. Each of them averages what
this rank has computed; what counts is the average of the one that was made last, as in PyTorch, where it ends last.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from typing import TYPE_CHECKING

from distrt.core.tensor import Tensor

if TYPE_CHECKING:
    from distrt.parallel.reducer import Reducer

__all__ = ["Sharers", "abandon_all", "end_all", "running"]

_count = itertools.count().__next__


class _Running(threading.local):
    """The reducers that have begun and not ended the pass of this thread."""

    def __init__(self) -> None:
        self.reducers: weakref.WeakSet[Reducer] = weakref.WeakSet()


running = _Running()


def end_all() -> None:
    """Wait for all reducers that have launched everything, in the order of their construction."""
    for reducer in sorted((each for each in running.reducers if each.is_filled), key=_by_age):
        try:
            reducer.end()
        except BaseException:
            abandon_all()
            raise


def abandon_all() -> None:
    """One of them has failed: the pass is over for all."""
    for reducer in sorted(running.reducers, key=_by_age):
        reducer.abandon_pass()


class Sharers:
    """Which other reducers have parameters of this one.

    Attributes:
        number: a younger reducer has a larger one.
    """

    def __init__(self) -> None:
        self.number = _count()
        self._older: weakref.WeakSet[Reducer] = weakref.WeakSet()
        self._younger: dict[int, weakref.WeakSet[Reducer]] = {}  # by the parameter's number

    def find(self, reducer: Reducer, parameters: list[Tensor]) -> None:
        """Notes, on both sides, who has hooks on these parameters already."""
        for parameter in parameters:
            for hook in parameter._edge[0].post_hooks.values():  # type: ignore[index, union-attr]
                if not isinstance(hook, functools.partial):
                    continue
                other = getattr(hook.func, "__self__", None)
                if type(other) is type(reducer) and other is not reducer:
                    self._older.add(other)
                    other.sharers._younger.setdefault(hook.args[0], weakref.WeakSet()).add(reducer)

    def older(self) -> list[Reducer]:
        """Those that were there before."""
        return sorted(self._older, key=_by_age)

    def has_younger(self, number: int) -> bool:
        """Whether the parameter with this number belongs to a younger reducer, too."""
        return bool(self._younger.get(number))

    def lent(self) -> set[int]:
        """The numbers of the parameters that a younger reducer averages in this pass."""
        return {number for number, others in self._younger.items() if any(other.is_armed for other in others)}


def _by_age(reducer: Reducer) -> int:
    return reducer.sharers.number
