"""Modules of switches for machinery that distrt does not have: any can be set, and none has an effect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Switches(ModuleType):
    """Takes any name; one that was never set is a further group of switches, and false.

    >>> config = Switches("config")
    >>> config.triton.cudagraphs = True
    >>> config.triton.cudagraphs, bool(config.suppress_errors)
    (True, False)
    """

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = self.__dict__[name] = Switches(f"{self.__name__}.{name}")
        return found

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self.__name__}: not set>"

    @contextmanager
    def patch(self, changes: Any = None, value: Any = None, **named: Any) -> Iterator[None]:
        """Sets switches for a block: ``patch(name=value)``, ``patch({"name": value})``, ``patch("name", value)``."""
        given = {changes: value} if isinstance(changes, str) else dict(changes or {})
        places = [self._place(path) for path in given | named]
        before = [dict(group.__dict__) for group, _ in places]
        for (group, last), wanted in zip(places, (given | named).values(), strict=True):
            setattr(group, last, wanted)
        try:
            yield
        finally:
            for (group, last), names in zip(places, before, strict=True):
                group.__dict__.pop(last)
                if last in names:
                    setattr(group, last, names[last])

    def _place(self, path: str) -> tuple[Any, str]:
        *groups, last = path.split(".")
        group: Any = self
        for name in groups:
            group = getattr(group, name)
        return group, last
