"""Layers, losses and their services, under PyTorch's names."""

import importlib
from typing import Any

from distrt.core.tensors import methods as _methods  # tensors have their methods wherever layers exist
from distrt.nn import attention, common_types, functional, grad, init, modules, parameter, utils
from distrt.nn.factory import factory_kwargs
from distrt.nn.modules import *
from distrt.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

_PARAMETERS = ("Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter")
_PARALLEL = ("DataParallel", "SyncBatchNorm")
_SUBMODULES = (
    "attention",
    "common_types",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "parameter",
    "utils",
)

__all__ = sorted([*modules.__all__, *_PARAMETERS, *_PARALLEL, *_SUBMODULES, "factory_kwargs"])  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name == "parallel" or name in _PARALLEL:  # a facade of the room to the right, loaded when asked for
        facade = importlib.import_module("distrt.nn.parallel")
        return facade if name == "parallel" else getattr(facade, name)
    raise AttributeError(f"module 'distrt.nn' has no attribute {name!r}")
