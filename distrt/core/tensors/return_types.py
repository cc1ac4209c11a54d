"""The named tuples that operations with several results return: ``max(x, 1).values``."""

from __future__ import annotations

import functools
import operator
from typing import Any


class _Results(tuple[Any, ...]):
    """Base of the named results; made from one sequence, as PyTorch's are."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = ",\n".join(f"{name}={value!r}" for name, value in zip(self._fields, self, strict=True))
        return f"torch.return_types.{type(self).__name__}(\n{shown})"

    def __reduce__(self) -> Any:
        return _rebuild, (type(self).__name__, self._fields, tuple(self))


@functools.cache
def return_type(name: str, fields: tuple[str, ...]) -> type[_Results]:
    """The result type of the operation ``name``: a tuple whose elements also have the names ``fields``."""
    members: dict[str, Any] = {"__slots__": (), "_fields": fields, "__doc__": f"What ``{name}`` returns."}
    for position, field in enumerate(fields):
        members[field] = property(operator.itemgetter(position))
    return type(name, (_Results,), members)


def is_named_result(kind: type) -> bool:
    """Whether a class is one of these types."""
    return issubclass(kind, _Results)


def _rebuild(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return return_type(name, fields)(values)
