"""What trees are made of: the classes of containers, how each is taken apart and made, and the keys of their places."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from distrt.core.tensors.return_types import is_named_result

__all__ = [
    "GetAttrKey",
    "Kind",
    "MappingKey",
    "SequenceKey",
    "key_get",
    "keystr",
    "kind_of",
    "register_pytree_node",
]

KeyPath = tuple[Any, ...]


@dataclass(frozen=True)
class SequenceKey:
    """A place in a sequence."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"

    def get(self, sequence: Any) -> Any:
        """What is at the place."""
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """A key of a dict."""

    key: Any

    def __str__(self) -> str:
        return f"[{self.key!r}]"

    def get(self, mapping: Any) -> Any:
        """What is under the key."""
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """A name of a named tuple, or of an object."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"

    def get(self, obj: Any) -> Any:
        """What has the name."""
        return getattr(obj, self.name)


def keystr(kp: KeyPath) -> str:
    """A path as it is written in Python: ``['a'][0].x``."""
    return "".join(map(str, kp))


def key_get(obj: Any, kp: KeyPath) -> Any:
    """What is at a path in a tree."""
    return functools.reduce(lambda at, key: key.get(at), kp, obj)


class Kind(NamedTuple):
    """How one class of containers is taken apart and made."""

    flatten: Callable[[Any], tuple[Iterable[Any], Any]]
    unflatten: Callable[[Iterable[Any], Any], Any]
    keys: Callable[[Any], list[Any]] | None


def _of_sequence(tree: Any) -> list[Any]:
    return [SequenceKey(place) for place in range(len(tree))]


def _of_mapping(tree: Any) -> list[Any]:
    return [MappingKey(key) for key in tree]


def _of_names(tree: Any) -> list[Any]:
    return [GetAttrKey(name) for name in tree._fields]


_NAMED_TUPLE = Kind(lambda tree: (tree, type(tree)), lambda leaves, kind: kind(*leaves), _of_names)
KINDS: dict[Any, Kind] = {
    list: Kind(lambda tree: (tree, None), lambda leaves, _: list(leaves), _of_sequence),
    tuple: Kind(lambda tree: (tree, None), lambda leaves, _: tuple(leaves), _of_sequence),
    deque: Kind(lambda tree: (tree, tree.maxlen), deque, _of_sequence),
    dict: Kind(
        lambda tree: (tree.values(), list(tree)),
        lambda leaves, keys: dict(zip(keys, leaves, strict=True)),
        _of_mapping,
    ),
    OrderedDict: Kind(
        lambda tree: (tree.values(), list(tree)),
        lambda leaves, keys: OrderedDict(zip(keys, leaves, strict=True)),
        _of_mapping,
    ),
    defaultdict: Kind(
        lambda tree: (tree.values(), [tree.default_factory, list(tree)]),
        lambda leaves, context: defaultdict(context[0], zip(context[1], leaves, strict=True)),
        _of_mapping,
    ),
}


def register_pytree_node(
    cls: type,
    flatten_fn: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_fn: Callable[[Iterable[Any], Any], Any],
    *,
    serialized_type_name: str | None = None,
    to_dumpable_context: Callable[[Any], Any] | None = None,
    from_dumpable_context: Callable[[Any], Any] | None = None,
    flatten_with_keys_fn: Callable[[Any], tuple[list[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Makes a class a container.

    Args:
        cls: the class.
        flatten_fn: gives the children of one, and whatever else it takes to make it again.
        unflatten_fn: makes one of both.
        serialized_type_name, to_dumpable_context, from_dumpable_context: accepted; descriptions go to no file.
        flatten_with_keys_fn: like ``flatten_fn``, each child with its key.

    Raises:
        ValueError: the class is known.
    """
    if cls in KINDS:
        raise ValueError(f"{cls} is already registered as pytree node.")
    keys = None
    if flatten_with_keys_fn is not None:
        keys = lambda tree: [key for key, _ in flatten_with_keys_fn(tree)[0]]  # noqa: E731
    KINDS[cls] = Kind(flatten_fn, unflatten_fn, keys)


def kind_of(tree: Any) -> tuple[Any, Kind | None]:
    """What stands for the class of a container in its description, and how it is handled; None for a leaf."""
    found = type(tree)
    if found in KINDS:
        return found, KINDS[found]
    if isinstance(tree, tuple) and is_named_result(found):
        return found, Kind(lambda tree: (tree, None), lambda leaves, _: found(leaves), _of_names)
    if isinstance(tree, tuple) and found.__bases__ == (tuple,) and hasattr(found, "_fields"):
        return NamedTuple, _NAMED_TUPLE
    return found, None
