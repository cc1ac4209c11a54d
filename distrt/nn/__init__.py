"""Layers, losses and their services, under PyTorch's names."""

import importlib
from typing import Any

from distrt.core import methods as _methods  # tensors have their methods wherever layers exist
from distrt.nn import attention, functional, init, modules, parameter, utils
from distrt.nn.modules import *
from distrt.nn.parameter import Parameter

__all__ = sorted(  # noqa: PLE0605 - one list, not two
    [*modules.__all__, "Parameter", "attention", "functional", "init", "modules", "parallel", "parameter", "utils"]
)


def __getattr__(name: str) -> Any:
    if name == "parallel":  # a facade of the room to the right, loaded when asked for
        return importlib.import_module("distrt.nn.parallel")
    raise AttributeError(f"module 'distrt.nn' has no attribute {name!r}")
