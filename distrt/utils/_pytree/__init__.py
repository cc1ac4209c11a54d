"""Trees of containers: flattened to a list of leaves and a description, and put together again.

Containers are lists, tuples, named tuples, deques, dicts of the standard library, the named results of operations, and
what ``register_pytree_node`` adds. Everything else, ``None`` too, is a leaf. Source: ``torch.utils._pytree``.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from distrt.utils._pytree.containers import (
    GetAttrKey,
    KeyPath,
    MappingKey,
    SequenceKey,
    key_get,
    keystr,
    kind_of,
    register_pytree_node,
)
from distrt.utils._pytree.treespec import LEAF, TreeSpec

__all__ = [
    "GetAttrKey",
    "MappingKey",
    "PyTree",
    "SequenceKey",
    "TreeSpec",
    "key_get",
    "keystr",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_is_leaf",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
    "treespec_pprint",
]

PyTree = Any
IsLeaf = Callable[[Any], bool] | None


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeSpec]:
    """The leaves, and what the tree is without them.

    Args:
        tree: a tree.
        is_leaf: says of containers whether to take them whole.
    """
    leaves: list[Any] = []
    return leaves, _flatten_into(leaves, tree, is_leaf)


def _flatten_into(leaves: list[Any], tree: Any, is_leaf: IsLeaf) -> TreeSpec:
    stands, kind = (None, None) if is_leaf is not None and is_leaf(tree) else kind_of(tree)
    if kind is None:
        leaves.append(tree)
        return LEAF
    children, context = kind.flatten(tree)
    return TreeSpec(stands, context, tuple(_flatten_into(leaves, child, is_leaf) for child in children), kind)


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree that ``tree_flatten`` took apart, with other leaves.

    Raises:
        TypeError: for no ``TreeSpec``.
        ValueError: there is another number of leaves.
    """
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"Expected `treespec` to be an instance of PyTreeSpec but got item of type {type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_is_leaf(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether this is a leaf."""
    return (is_leaf is not None and is_leaf(tree)) or kind_of(tree)[1] is None


def tree_iter(tree: Any, is_leaf: IsLeaf = None) -> Iterator[Any]:
    """The leaves, one after another."""
    yield from tree_leaves(tree, is_leaf)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeSpec:
    """What the tree is without its leaves."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """The tree with ``func`` of each leaf, and of what other trees have in its place.

    Raises:
        ValueError: another tree has other containers.
    """
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *(spec.flatten_up_to(each) for each in rests)))


def tree_map_(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Calls ``func`` as ``tree_map`` does, for what it does to the leaves; gives the tree."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def _only(which: Any) -> Callable[[Any], bool]:
    if isinstance(which, type | tuple | types.UnionType):
        return lambda leaf: isinstance(leaf, which)
    if callable(which):
        return which  # type: ignore[no-any-return]
    raise TypeError("Argument must be a type, a tuple of types, or a callable.")


def tree_map_only(
    type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf = None
) -> Any:
    """The tree with ``func`` of the leaves of some types, or of which a function says so; the others stay.

    Raises:
        TypeError: for neither types nor a function.
    """
    concerns = _only(type_or_types_or_pred)
    return tree_map(lambda leaf: func(leaf) if concerns(leaf) else leaf, tree, is_leaf=is_leaf)


def tree_map_only_(
    type_or_types_or_pred: Any, /, func: Callable[[Any], Any], tree: Any, is_leaf: IsLeaf = None
) -> Any:
    """Calls ``func`` as ``tree_map_only`` does; gives the tree."""
    tree_map_only(type_or_types_or_pred, func, tree, is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are so."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Whether one leaf is so."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None
) -> bool:
    """Whether all leaves of some types are so."""
    return all(pred(leaf) for leaf in filter(_only(type_or_types), tree_iter(tree, is_leaf)))


def tree_any_only(
    type_or_types: Any, /, pred: Callable[[Any], bool], tree: Any, is_leaf: IsLeaf = None
) -> bool:
    """Whether one leaf of some types is so."""
    return any(pred(leaf) for leaf in filter(_only(type_or_types), tree_iter(tree, is_leaf)))


def tree_leaves_with_path(tree: Any, is_leaf: IsLeaf = None) -> list[tuple[KeyPath, Any]]:
    """The leaves, each with its path."""
    return list(_with_paths(tree, (), is_leaf))


def tree_flatten_with_path(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[tuple[KeyPath, Any]], TreeSpec]:
    """The leaves, each with its path, and what the tree is without them."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: IsLeaf = None) -> Any:
    """Does what ``tree_map`` does, with each leaf's path as the first argument."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    paths, leaves = [path for path, _ in found], [leaf for _, leaf in found]
    return spec.unflatten(map(func, paths, leaves, *(spec.flatten_up_to(each) for each in rests)))


def _with_paths(tree: Any, path: KeyPath, is_leaf: IsLeaf) -> Iterator[tuple[KeyPath, Any]]:
    stands, kind = kind_of(tree)
    if kind is None or (is_leaf is not None and is_leaf(tree)):
        yield path, tree
        return
    if kind.keys is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {stands}. Please pass a flatten_with_keys_fn argument to "
            "register_pytree_node."
        )
    keys: Sequence[Any] = kind.keys(tree)
    for key, child in zip(keys, kind.flatten(tree)[0], strict=True):
        yield from _with_paths(child, (*path, key), is_leaf)


class _Star:
    def __repr__(self) -> str:
        return "*"


def treespec_pprint(treespec: TreeSpec) -> str:
    """The tree with ``*`` for each leaf."""
    return repr(tree_unflatten([_Star()] * treespec.num_leaves, treespec))
