"""Facade: ``torch.utils.deterministic``, a module with one switch."""

from __future__ import annotations

import sys
import types

from distrt.core.process.determinism import wish

__all__ = ["fill_uninitialized_memory"]  # noqa: F822 - a property of the module


class _Module(types.ModuleType):
    @property
    def fill_uninitialized_memory(self) -> bool:
        """Whether ``empty`` and its kin are filled while deterministic algorithms are asked for; True at first."""
        return wish.fills_memory

    @fill_uninitialized_memory.setter
    def fill_uninitialized_memory(self, mode: bool) -> None:
        if not isinstance(mode, bool):
            raise RuntimeError(f"expected a bool, but got {type(mode).__name__}")
        wish.fills_memory = mode


sys.modules[__name__].__class__ = _Module
