"""One sum over ranks that share no memory: who adds up what, so that the bits do not depend on the placement.

The order is `Reduction`'s binary tree over the group's ranks. A machine adds up the largest branches whose ranks are
all its own, its *terms*, and sends those; whoever has all terms adds up the rest. Equal blocks of 2, 4, 8, … ranks a
machine make one term each; other placements make more, which costs time on the network and nothing else. GPUs have no
memory in common: there, each rank counts as a machine. Arrays are where their owners have them, and stay there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from distrt.comm.reduction import Array, Reduction
from distrt.core.modes import modes

__all__ = ["Placement", "TreeReduction", "Trees"]

Tree: TypeAlias = int | tuple["Tree", "Tree"]


class Placement:
    """Where a group's ranks are.

    Args:
        machines: per rank, what tells its machine from others.

    Attributes:
        of: per rank, the number of its machine, in the order of their first ranks.
        members: per machine, its ranks.
        terms: per machine, its branches as trees over places among the members.
        rest: the tree over all terms, numbered machine by machine.
    """

    def __init__(self, machines: Sequence[object]) -> None:
        numbers = {machine: number for number, machine in enumerate(dict.fromkeys(machines))}
        self.of = [numbers[machine] for machine in machines]
        self.members = [
            [rank for rank, at in enumerate(self.of) if at == number] for number in range(len(numbers))
        ]
        self.terms: list[list[Tree]] = [[] for _ in self.members]
        found = self._branches(_tree_of(len(self.of)))
        starts = np.cumsum([0, *(len(terms) for terms in self.terms)]).tolist()
        self.rest = _replaced(found, [starts[machine] + place for machine, place in self._order])

    def place(self, rank: int) -> int:
        """A rank's place among the members of its machine."""
        return self.members[self.of[rank]].index(rank)

    def _branches(self, tree: Tree) -> Tree:
        self._order: list[tuple[int, int]] = []  # (machine, which of its terms), as they are met

        def walk(tree: Tree) -> Tree:
            machines = {self.of[rank] for rank in _leaves(tree)}
            if len(machines) > 1:
                assert not isinstance(tree, int)
                return walk(tree[0]), walk(tree[1])
            (machine,) = machines
            places = {rank: place for place, rank in enumerate(self.members[machine])}
            self._order.append((machine, len(self.terms[machine])))
            self.terms[machine].append(_replaced(tree, places))
            return len(self._order) - 1

        return walk(tree)


class TreeReduction:
    """A reduction in two halves: a machine's terms, and the total of all terms.

    Args:
        reduction: what is computed.
        dtype: of the ranks' arrays.
        placement: where they are.
    """

    def __init__(self, reduction: Reduction, dtype: np.dtype[Any], placement: Placement) -> None:
        self._reduction = reduction
        self._placement = placement
        is_summed = any(not isinstance(term, int) for terms in placement.terms for term in terms)
        self._working = np.dtype(np.float32) if reduction.is_wide else dtype
        #: What crosses the network: what was added up in float32 is rounded only at the end.
        self.wire = self._working if is_summed else dtype

    def partials(self, machine: int, sources: Sequence[Array], out: Array) -> None:
        """The terms of a machine, from its ranks' arrays.

        Shape: each source is (n,), out is (terms, n) of the dtype `wire`.
        """
        _ = modes.grad  # see `Reduction.reduce`
        for term, row in zip(self._placement.terms[machine], out, strict=True):
            self._fold(term, sources, row)

    def total(self, terms: Sequence[Array], out: Array) -> None:
        """The result, from all terms, machine by machine; ``out`` may be one of them."""
        _ = modes.grad
        reduction, total = self._reduction, out
        if reduction.is_wide:
            total = np.empty(out.shape, self._working, like=out)
        self._fold(self._placement.rest, terms, total)
        reduction.finish(total)
        if total is not out:
            out[...] = total

    def _fold(self, tree: Tree, leaves: Sequence[Array], out: Array) -> None:
        if isinstance(tree, int):
            out[...] = leaves[tree]
        else:
            first, second = (self._value(branch, leaves, out) for branch in tree)
            self._reduction.combine(first, second, out=out)

    def _value(self, tree: Tree, leaves: Sequence[Array], like: Array) -> Array:
        if isinstance(tree, int):
            return leaves[tree].astype(self._working, copy=False)
        value = np.empty(like.shape, self._working, like=like)
        self._fold(tree, leaves, value)
        return value


class Trees:
    """The reductions of one group, each made when it is first asked for.

    Args:
        placement: where the group's ranks are.
    """

    def __init__(self, placement: Placement) -> None:
        self._placement = placement
        self._made: dict[tuple[Reduction, np.dtype[Any]], TreeReduction] = {}

    def of(self, reduction: Reduction, dtype: np.dtype[Any]) -> TreeReduction:
        """How arrays of a dtype are reduced."""
        tree = self._made.get((reduction, dtype))
        if tree is None:
            tree = self._made[reduction, dtype] = TreeReduction(reduction, dtype, self._placement)
        return tree


def _tree_of(count: int) -> Tree:
    """``((0+1)+(2+3))+…``, the odd one carried up."""
    level: list[Tree] = list(range(count))
    while len(level) > 1:
        pairs = len(level) // 2
        level = [*((level[2 * i], level[2 * i + 1]) for i in range(pairs)), *level[2 * pairs :]]
    return level[0]


def _leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else _leaves(tree[0]) + _leaves(tree[1])


def _replaced(tree: Tree, by: Sequence[int] | dict[int, int]) -> Tree:
    if isinstance(tree, int):
        return by[tree]
    return _replaced(tree[0], by), _replaced(tree[1], by)
