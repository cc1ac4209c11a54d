"""Modules without initial values, for those whose parameters will be overwritten anyway."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar

from distrt.nn.init import skipped
from distrt.nn.modules.module import Module

__all__ = ["skip_init"]

M = TypeVar("M", bound=Module)


def skip_init(module_cls: type[M], *args: Any, **kwargs: Any) -> M:
    """A module of this class, made with these arguments, whose parameters hold whatever the memory held.

    No random number is drawn.

    Raises:
        RuntimeError: for what is no module class, or one without a ``device`` argument.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    with skipped():
        return module_cls(*args, **kwargs)
