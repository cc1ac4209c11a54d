"""What things of distrt are called in a file: PyTorch's names, so that either library reads what the other wrote.

``written`` gives the name for an object, ``look_up`` the object for a name. Only what stands in these tables is found;
no module is ever imported because a file names it, but for distrt's own.
"""

from __future__ import annotations

import functools
import importlib
import types
from collections.abc import Callable
from typing import Any, TypeVar

from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.random.generator import Generator
from distrt.core.storage.storage import TypedStorage, UntypedStorage
from distrt.core.tensor import Tensor
from distrt.core.tensors.construct import TYPE_NAMES, TYPES
from distrt.core.tensors.formats import layout, memory_format
from distrt.core.tensors.names import FUNCTIONS
from distrt.core.tensors.size import Size

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: distrt's module -> PyTorch's, where the class has the same name. The longest match counts.
_MODULES = {
    "distrt.amp": "torch.amp",
    "distrt.data.": "torch.utils.data.",
    "distrt.data.distributed_sampler": "torch.utils.data.distributed",
    "distrt.distributed.checkpoint.": "torch.distributed.checkpoint.",
    "distrt.nn.modules.": "torch.nn.modules.",
    "distrt.nn.modules.attention": "torch.nn.modules.activation",
    "distrt.nn.modules.margin_loss": "torch.nn.modules.loss",
    "distrt.nn.modules.parameter_containers": "torch.nn.modules.container",
    "distrt.nn.modules.rnn_cells": "torch.nn.modules.rnn",
    "distrt.nn.modules.transformer_layers": "torch.nn.modules.transformer",
    "distrt.nn.parameter": "torch.nn.parameter",
    "distrt.optim.": "torch.optim.",
    "distrt.optim._adafactor": "torch.optim",
    "distrt.optim._muon": "torch.optim",
    "distrt.optim.lr_scheduler.": "torch.optim.lr_scheduler",
    "distrt.parallel.data_parallel.": "torch.nn.parallel.data_parallel",
    "distrt.parallel.ddp": "torch.nn.parallel.distributed",
    "distrt.parallel.sync_batch_norm": "torch.nn.modules.batchnorm",
}

_LAZY = {"LazyBatch": "batchnorm", "LazyConv": "conv", "LazyInstance": "instancenorm", "LazyLinear": "linear"}

#: PyTorch's modules, by their beginnings -> where distrt has what is in them. The first match counts.
_HOMES = (
    ("torch.nn.modules.batchnorm", ("distrt.nn", "distrt.parallel")),
    ("torch.nn.modules", ("distrt.nn",)),
    ("torch.nn.parallel", ("distrt.parallel",)),
    ("torch.nn.parameter", ("distrt.nn.parameter",)),
    ("torch.nn.functional", ("distrt.nn.functional",)),
    ("torch._C._nn", ("distrt.nn.functional",)),
    ("torch.optim.lr_scheduler", ("distrt.optim.lr_scheduler",)),
    ("torch.optim", ("distrt.optim",)),
    ("torch.utils.data", ("distrt.data",)),
    ("torch.amp", ("distrt.amp",)),
    ("torch.cuda.amp", ("distrt.amp",)),
)

#: The functions of ``distrt`` that compute, and do nothing else.
_OPERATIONS = frozenset(" ".join(FUNCTIONS.values()).split())

_STORAGES = {name.replace("Tensor", "Storage"): each for each, name in TYPE_NAMES.items()}


class StorageType:
    """A class of storages by its name: ``FloatStorage`` is nothing but a dtype."""

    def __init__(self, name: str, dtype: dt.dtype) -> None:
        self.name, self.dtype = name, dtype


STORAGE_TYPES = {name: StorageType(name, each) for name, each in _STORAGES.items()}
UNTYPED = StorageType("UntypedStorage", dt.uint8)


def storage_type_of(dtype: dt.dtype) -> StorageType:
    """The class of storages for a dtype; the untyped one for dtypes that came after PyTorch gave up such classes."""
    name = TYPE_NAMES.get(dtype)
    return UNTYPED if name is None else STORAGE_TYPES[name.replace("Tensor", "Storage")]


#: What a file may always name: (module, name) -> object.
_ALWAYS: dict[tuple[str, str], Any] = {
    ("torch", "Tensor"): Tensor,
    ("torch._tensor", "Tensor"): Tensor,
    ("torch", "Size"): Size,
    ("torch", "device"): device,
    ("torch.storage", "UntypedStorage"): UNTYPED,
    ("torch", "UntypedStorage"): UNTYPED,
    **{("torch", name): each for name, each in STORAGE_TYPES.items()},
    **{("torch", name): each for name, each in TYPES.items()},
    **{("torch", name): each for name, each in dt.PUBLIC_NAMES.items()},
}


def written(value: Any) -> tuple[str, str] | None:
    """PyTorch's (module, name) for a class, function, dtype or the like of distrt; None for anything else's."""
    if isinstance(value, dt.dtype | memory_format):
        return "torch", repr(value).removeprefix("torch.")
    if isinstance(value, StorageType):
        return ("torch.storage" if value is UNTYPED else "torch"), value.name
    try:
        return _written(value)
    except TypeError:  # a class whose metaclass cannot be hashed
        return None


@functools.cache
def _written(value: Any) -> tuple[str, str] | None:
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    if not isinstance(module, str) or not (module == "distrt" or module.startswith("distrt.")):
        return None
    if value in _NAMED:
        return _NAMED[value]
    if isinstance(value, types.FunctionType):
        return _function(value, name)
    if module.endswith(".lazy_layers"):
        family = next((file for start, file in _LAZY.items() if name.startswith(start)), None)
        return None if family is None else (f"torch.nn.modules.{family}", name)
    for start in sorted(_MODULES, key=len, reverse=True):
        if start.endswith(".") and module.startswith(start):
            theirs = _MODULES[start]
            return (theirs + module.removeprefix(start) if theirs.endswith(".") else theirs), name
        if module == start or module.startswith(f"{start}."):
            return _MODULES[start] + module.removeprefix(start), name
    return None


_NAMED: dict[Any, tuple[str, str]] = {
    Tensor: ("torch", "Tensor"),
    Size: ("torch", "Size"),
    Generator: ("torch._C", "Generator"),
    device: ("torch", "device"),
    dt.dtype: ("torch", "dtype"),
    layout: ("torch", "layout"),
    memory_format: ("torch", "memory_format"),
    TypedStorage: ("torch.storage", "TypedStorage"),
    UntypedStorage: ("torch.storage", "UntypedStorage"),
    **{each: ("torch", name) for name, each in TYPES.items()},
}


def name_as(module: str, name: str) -> Callable[[_Function], _Function]:
    """A decorator: this is what files call the function; any file may name it, and call it."""

    def decorate(function: _Function) -> _Function:
        _NAMED[function] = (module, name)
        _ALWAYS[module, name] = function
        return function

    return decorate


def _function(function: Any, name: str) -> tuple[str, str] | None:
    for home, theirs in (("distrt.nn.functional", "torch.nn.functional"), ("distrt", "torch")):
        if getattr(importlib.import_module(home), name, None) is function:
            return theirs, name
    return None


def always(module: str, name: str) -> Any:
    """What any file may name; None for anything else."""
    return _ALWAYS.get((module, name))


def look_up(module: str, name: str) -> Any:
    """The layer, optimizer, schedule, dataset or function of distrt that PyTorch has under a name, or None."""
    if not name.isidentifier() or name.startswith("__"):
        return None
    if module == "torch":
        found = getattr(importlib.import_module("distrt"), name, None)
        is_function = (
            isinstance(found, types.FunctionType) and name in _OPERATIONS
        )  # not ``save``, and its like
        return found if is_function or isinstance(found, memory_format | layout) else None
    for start, homes in _HOMES:
        if module == start or module.startswith(f"{start}."):
            for home in homes:
                found = getattr(importlib.import_module(home), name, None)
                if isinstance(found, type | types.FunctionType):
                    return found
            return own("distrt." + module.removeprefix("torch."), name)
    return own(module, name)


def own(module: str, name: str) -> Any:
    """A class of distrt's layers, and of what layers refer to, by distrt's own name for it; None if there is none."""
    parts = module.split(".")
    if (module, name) != _JOIN and (parts[:2] != ["distrt", "nn"] or not all(map(str.isidentifier, parts))):
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None
    return found if isinstance(found, type) and found.__module__ == module else None


_JOIN = ("distrt.parallel.join", "_JoinConfig")
