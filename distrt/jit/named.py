"""Named tuples in programs: their class is made of its name and fields, since the one in the source may be missing."""

from __future__ import annotations

import functools
import operator
from typing import Any


class _Named(tuple[Any, ...]):
    """The base: what scripts use of a ``NamedTuple``."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changed: Any) -> Any:
        unknown = changed.keys() - set(self._fields)
        if unknown:
            raise ValueError(f"Got unexpected field names: {sorted(unknown)!r}")
        return type(self)(changed.get(name, value) for name, value in self._asdict().items())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (tuple(self),)

    def __reduce__(self) -> Any:
        return _rebuilt, (type(self).__name__, self._fields, tuple(self))


@functools.lru_cache(maxsize=1000)
def named_tuple(name: str, fields: tuple[str, ...]) -> type[_Named]:
    """The class of named tuples with these fields; it takes one iterable of their values."""
    members: dict[str, Any] = {"__slots__": (), "_fields": fields, "__doc__": f"{name}({', '.join(fields)})"}
    for position, field in enumerate(fields):
        members[field] = property(operator.itemgetter(position))
    return type(name, (_Named,), members)


def _rebuilt(name: str, fields: tuple[str, ...], values: tuple[Any, ...]) -> Any:
    return named_tuple(name, fields)(values)
