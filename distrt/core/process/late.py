"""Modules that load when they are first used, behind names of another module (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["late"]


def late(own: dict[str, Any], homes: Mapping[str, str]) -> Callable[[str], ModuleType]:
    """The ``__getattr__`` of a module that shows others: each is imported at the first look at its name.

    >>> __getattr__ = late(globals(), {"rows": "distrt.core.kernels.cuda.rows"})

    Type checkers and editors do not see through that, so the module imports the same names under ``TYPE_CHECKING``.

    Args:
        own: the showing module's globals, where what has been imported is kept: then a look costs no call.
        homes: the module behind each name.
    """

    def find(name: str) -> ModuleType:
        if name not in homes:
            raise AttributeError(f"module {own['__name__']!r} has no attribute {name!r}")
        found = own[name] = importlib.import_module(homes[name])
        return found

    return find
