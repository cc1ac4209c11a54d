"""``TreeSpec``: what a tree is without its leaves."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from distrt.utils._pytree.containers import Kind, kind_of

__all__ = ["LEAF", "TreeSpec"]


@dataclass(frozen=True, repr=False, eq=False)
class TreeSpec:
    """What a tree is without its leaves.

    Attributes:
        type: the class of the container; None for a leaf.
        context: what it takes to make it, beside its children: a dict's keys.
    """

    type: Any
    context: Any
    _children: tuple[TreeSpec, ...]
    _kind: Kind | None

    @functools.cached_property
    def num_leaves(self) -> int:
        """How many leaves."""
        return 1 if self.is_leaf() else sum(each.num_leaves for each in self._children)

    @functools.cached_property
    def num_nodes(self) -> int:
        """How many leaves and containers."""
        return 1 + sum(each.num_nodes for each in self._children)

    @property
    def num_children(self) -> int:
        """How many children the outermost container has."""
        return len(self._children)

    def is_leaf(self) -> bool:
        """Whether it is one leaf alone."""
        return self._kind is None

    def children(self) -> list[TreeSpec]:
        """The descriptions of the children."""
        return list(self._children)

    def child(self, index: int) -> TreeSpec:
        """The description of one."""
        return self._children[index]

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree with these leaves.

        Raises:
            ValueError: there is another number of them.
        """
        given = list(leaves)
        if len(given) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(given)} but the spec refers to a pytree that "
                f"holds {self.num_leaves} items ({self})."
            )
        return self._made(iter(given))

    def _made(self, leaves: Iterator[Any]) -> Any:
        if self._kind is None:
            return next(leaves)
        return self._kind.unflatten([each._made(leaves) for each in self._children], self.context)

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """What another tree has in the places of the leaves: leaves, or whole trees.

        Raises:
            ValueError: it has other containers on the way there.
        """
        found: list[Any] = []
        self._collect(tree, found)
        return found

    def _collect(self, tree: Any, found: list[Any]) -> None:
        if self._kind is None:
            found.append(tree)
            return
        stands, kind = kind_of(tree)
        if kind is None or not self._takes(stands):
            raise ValueError(f"Node type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        children, context = kind.flatten(tree)
        children = list(children)
        if len(children) != self.num_children:
            raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(children)}.")
        if self.type in _DICTS:
            children = self._in_order(tree)
        elif context != self.context and self.type is not deque:
            raise ValueError(f"Node context mismatch for custom node type {self.type!r}.")
        for spec, child in zip(self._children, children, strict=True):
            spec._collect(child, found)

    def _takes(self, stands: Any) -> bool:
        return stands is self.type or (stands in _DICTS and self.type in _DICTS)

    def _in_order(self, tree: Any) -> list[Any]:
        """A dict's values in the order of these keys."""
        keys = self.context[1] if self.type is defaultdict else self.context
        missing, extra = set(keys) - set(tree), set(tree) - set(keys)
        if missing or extra:
            raise ValueError(
                "Node keys mismatch"
                + (f"; missing key(s): {missing}" if missing else "")
                + (f"; extra key(s): {extra}" if extra else "")
                + "."
            )
        return [tree[key] for key in keys]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeSpec):
            return NotImplemented
        return (self.type, str(self.context), self._children) == (
            other.type,
            str(other.context),
            other._children,
        )

    def __hash__(self) -> int:
        return hash((self.type, str(self.context), self._children))

    def __repr__(self, indent: int = 0) -> str:
        if self.is_leaf():
            return "*"
        name = "namedtuple" if self.type is NamedTuple else self.type.__name__
        inner = f",\n{' ' * (indent + 2)}".join(each.__repr__(indent + 2) for each in self._children)
        return f"TreeSpec({name}, {self.context}, [{inner}])"


_DICTS = (dict, OrderedDict, defaultdict)
LEAF = TreeSpec(None, None, (), None)
