"""Tensors in structures, as models take and give them: lists, tuples, named tuples, dicts, sets and dataclasses.

Wrappers cast, cut, hook and put together what is in there.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

from distrt.core.tensor import Tensor

__all__ = ["map_tensors", "map_together", "tensors_in"]


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors in a structure, in order."""
    if isinstance(value, Tensor):
        return [value]
    found: list[Tensor] = []
    map_tensors(found.append, value)
    return found


def map_tensors(
    function: Callable[[Tensor], Any], value: Any, is_whole: Callable[[Any], bool] | None = None
) -> Any:
    """The structure with ``function`` of each tensor.

    Args:
        function: what becomes of a tensor.
        value: a structure, or a tensor.
        is_whole: what to leave as it is, and not to look into.
    """
    return map_together(lambda each: function(each[0]), [value], is_whole)


def map_together(
    function: Callable[[list[Tensor]], Any],
    values: Sequence[Any],
    is_whole: Callable[[Any], bool] | None = None,
) -> Any:
    """One structure like each of ``values``, with ``function`` of the tensors that they have in one place.

    All else is the first one's. Dataclasses, and dicts of classes of their own, stay the same object where nothing in
    them changes: not all of them can be made anew.
    """
    first = values[0]
    if isinstance(first, Tensor):
        return function(list(values))
    if is_whole is not None and is_whole(first):
        return first

    def inner(each: Sequence[Any]) -> Any:
        return map_together(function, each, is_whole)

    if dataclasses.is_dataclass(first) and not isinstance(first, type):
        names = [field.name for field in dataclasses.fields(first) if field.init]
        made = {name: inner([getattr(value, name) for value in values]) for name in names}
        is_same = all(each is getattr(first, name) for name, each in made.items())
        return first if is_same else dataclasses.replace(first, **made)
    if isinstance(first, dict):
        return _dict_like(first, {key: inner([value[key] for value in values]) for key in first})
    if isinstance(first, set | frozenset):
        return type(first)(inner([each]) for each in first) if len(values) == 1 else first
    if isinstance(first, list | tuple):
        items = [inner(each) for each in zip(*values, strict=True)]
        return type(first)(*items) if hasattr(first, "_fields") else type(first)(items)
    return first


def _dict_like(value: dict[Any, Any], items: dict[Any, Any]) -> Any:
    if type(value) is dict:
        return items
    if type(value) is not OrderedDict and all(items[key] is value[key] for key in value):
        return value
    try:
        return type(value)(items)
    except TypeError:
        return items
