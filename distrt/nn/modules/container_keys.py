"""What the containers check of indices and of pairs."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any, cast

from distrt.nn.modules.module import Module


def place_in(idx: Any, size: int) -> int:
    """An index, which may count from the end, as a place.

    Raises:
        IndexError: where there is no such place.
    """
    place = operator.index(idx)
    if not -size <= place < size:
        raise IndexError(f"index {place} is out of range")
    return place % size


def pairs_of(kind: str, spelt: str, given: Any) -> Iterator[tuple[Any, Any]]:
    """The pairs of a mapping, a container with keys, or an iterable of pairs.

    Raises:
        TypeError: for something else, or an item that cannot be iterated over.
        ValueError: for an item that is no pair.
    """
    if not isinstance(given, Iterable):
        raise TypeError(
            f"{spelt}.update should be called with an iterable of key/value pairs, but got {type(given).__name__}"
        )
    if isinstance(given, Mapping) or (isinstance(given, Module) and hasattr(given, "items")):
        yield from cast(Any, given).items()
        return
    for number, pair in enumerate(given):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{kind} update sequence element #{number} should be Iterable; is{type(pair).__name__}"
            )
        if len(cast(Sized, pair)) != 2:
            raise ValueError(
                f"{kind} update sequence element #{number} has length {len(cast(Sized, pair))}; 2 is required"
            )
        key, value = cast(Any, pair)
        yield key, value
