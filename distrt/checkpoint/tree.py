"""A state as a flat table of leaves, each with a name such as ``optimizer.state.0.step``, and back.

Names are PyTorch's (``torch.distributed.checkpoint``): dicts are walked through, and lists that hold tensors or dicts;
all else is a leaf. A path remembers what a name does not say: which keys are places in a list, and which are no
strings.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from distrt.core.errors import CheckpointError
from distrt.core.tensor import Tensor
from distrt.files.faults import quoted

__all__ = ["Path", "decoded", "encoded", "flattened", "nested", "put"]

#: A string is a key of a dict, an integer a place in a list, and a tuple of one a key of a dict that is no string.
Path: TypeAlias = tuple[Any, ...]


def flattened(state: Mapping[Any, Any]) -> dict[str, tuple[Path, Any]]:
    """(path, leaf) by name. Dicts without keys are leaves.

    Raises:
        ValueError: for two leaves of one name.
    """
    found: dict[str, tuple[Path, Any]] = {}
    for path, leaf in _leaves((), state):
        name = ".".join(str(key[0] if isinstance(key, tuple) else key) for key in path)
        if name in found:
            raise ValueError(f"duplicated flatten key {name}")
        found[name] = (path, leaf)
    return found


def _leaves(path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, Mapping) and (value or not path) and all(type(key) in _KEYS for key in value):
        for key, each in value.items():
            yield from _leaves((*path, key if isinstance(key, str) else (key,)), each)
    elif isinstance(value, list) and _holds_tensors(value):
        for place, each in enumerate(value):
            yield from _leaves((*path, place), each)
    else:
        yield path, value


_KEYS = frozenset((str, int, bool, float, type(None)))  # a dict with other keys is a leaf


def _holds_tensors(value: list[Any]) -> bool:
    return any(
        isinstance(each, Tensor | Mapping) or (isinstance(each, list) and _holds_tensors(each))
        for each in value
    )


def nested(leaves: Mapping[str, tuple[Path, Any]]) -> dict[Any, Any]:
    """The state that these are the leaves of."""
    root: dict[Any, Any] = {}
    for path, leaf in leaves.values():
        put(root, path, leaf)
    return root


def put(root: Any, path: Path, leaf: Any) -> None:
    """Sets one leaf; dicts and lists on its way are made where they are missing."""
    place = root
    for key, following in itertools.pairwise(path):
        place = _member(place, key, [] if isinstance(following, int) else {})
    _set(place, path[-1], leaf)


def _member(place: Any, key: Any, missing: Any) -> Any:
    if isinstance(key, int):
        if not isinstance(place, list):
            raise CheckpointError(f"a state has both a list and a dict in the place of {quoted(key)}")
        place.extend([None] * (key + 1 - len(place)))
        if place[key] is None:
            place[key] = missing
        return place[key]
    return place.setdefault(key[0] if isinstance(key, tuple) else key, missing)


def _set(place: Any, key: Any, leaf: Any) -> None:
    if isinstance(key, int):
        place.extend([None] * (key + 1 - len(place)))
        place[key] = leaf
    else:
        place[key[0] if isinstance(key, tuple) else key] = leaf


# -- leaves as JSON


class _NotPlain(Exception):  # noqa: N818 - it says what is the case
    pass


class Value(NamedTuple):
    """A leaf as JSON has it."""

    json: Any


def encoded(leaf: Any) -> Value | None:
    """A leaf as a value of JSON that becomes the same leaf again; None where there is none."""
    try:
        return Value(_encoded(leaf))
    except _NotPlain:
        return None


def _encoded(leaf: Any) -> Any:
    kind = type(leaf)
    if kind in (str, bool, type(None)):
        return leaf
    if kind is int and abs(leaf) < 2**1024:
        return leaf
    if kind is float:
        return leaf if math.isfinite(leaf) else {"float": repr(leaf)}
    if kind is list:
        return [_encoded(each) for each in leaf]
    if kind is tuple:
        return {"tuple": [_encoded(each) for each in leaf]}
    if kind is dict and not leaf:
        return {"dict": []}
    raise _NotPlain


def decoded(value: Any) -> Any:
    """What ``encoded`` made a value of JSON from.

    Raises:
        CheckpointError: for a value that ``encoded`` does not give.
    """
    if isinstance(value, list):
        return [decoded(each) for each in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"float": "inf" | "-inf" | "nan" as text, **rest} if not rest:
            return float(text)
        case {"tuple": list(members), **rest} if not rest:
            return tuple(decoded(each) for each in members)
        case {"dict": [], **rest} if not rest:
            return {}
    raise CheckpointError(f"the manifest has a value that is none: {quoted(value)}")


def path_as_json(path: Path) -> list[Any]:
    """A path for the manifest."""
    return [list(key) if isinstance(key, tuple) else key for key in path]


def path_from_json(said: Any) -> Path:
    """A path out of a manifest.

    Raises:
        CheckpointError: for what is none.
    """
    if not isinstance(said, list) or not said:
        raise CheckpointError(f"the manifest has a path that is none: {quoted(said)}")
    found = tuple(tuple(key) if isinstance(key, list) else key for key in said)
    for key in found:
        is_place = type(key) is int and 0 <= key < 1 << 20
        is_key = isinstance(key, tuple) and len(key) == 1 and not isinstance(key[0], list | dict)
        if not (isinstance(key, str) or is_place or is_key):
            raise CheckpointError(f"the manifest has a path that is none: {quoted(said)}")
    return found


def text_of(value: Any) -> bytes:
    """A value as JSON."""
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()
