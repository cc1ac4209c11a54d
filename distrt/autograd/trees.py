"""Nested lists, tuples and dictionaries as rows of leaves, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any


def leaves_of(tree: Any) -> list[Any]:
    """The values that are no list, tuple or dictionary, in order."""
    if isinstance(tree, dict):
        return [leaf for each in tree.values() for leaf in leaves_of(each)]
    if isinstance(tree, list | tuple):
        return [leaf for each in tree for leaf in leaves_of(each)]
    return [tree]


def structure_of(tree: Any) -> Any:
    """What two trees have in common when they differ in their leaves alone."""
    return mapped(lambda _: None, tree)


def mapped(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same tree with each leaf replaced by what the function makes of it."""
    if isinstance(tree, dict):
        return type(tree)((key, mapped(function, each)) for key, each in tree.items())
    if isinstance(tree, list | tuple):
        made = [mapped(function, each) for each in tree]
        return type(tree)(*made) if hasattr(tree, "_fields") else type(tree)(made)
    return function(tree)


def rebuilt(tree: Any, leaves: Sequence[Any]) -> Any:
    """The same tree with other leaves."""
    row: Iterator[Any] = iter(leaves)
    return mapped(lambda _: next(row), tree)
