"""distrt: a distributed training runtime with PyTorch's shape.

    import distrt as torch

Names are resolved when first used (PEP 562): ``import distrt`` loads neither NumPy nor any room of the house, so the
launcher and command-line tools start at once.
"""

from __future__ import annotations

import importlib
from typing import Any

from distrt.core.names import FUNCTIONS

__version__ = "0.1.0"

#: Names that are submodules: ``distrt.nn`` needs no import statement of its own.
_MODULES = frozenset(("autograd", "backends", "cuda", "distributed", "nn", "optim", "utils", "version"))

#: name -> (module, attribute). Functions of ``core.ops`` and ``core.creation``, dtypes and modes.
_NAMES: dict[str, tuple[str, str]] = {}


def _list(module: str, names: str) -> None:
    for name in names.split():
        _NAMES[name] = (f"distrt.core.{module}", name)


_list("tensor", "Tensor")
_list("size", "Size")
_list("device", "device")
_list("dtype", "dtype")
_list("random", "Generator manual_seed initial_seed")
_list(
    "modes", "enable_grad inference_mode is_grad_enabled is_inference_mode_enabled no_grad set_grad_enabled"
)
_list(
    "creation",
    "arange as_tensor empty empty_like eye from_numpy full full_like linspace normal ones ones_like rand rand_like "
    "randint randn randn_like randperm tensor zeros zeros_like",
)
_list("ops", " ".join(FUNCTIONS.values()))

_DTYPES = frozenset(
    "bfloat16 bool cfloat complex128 complex64 double float float16 float32 float64 half int int16 int32 int64 int8 "
    "long short uint8".split()
)

__all__ = sorted([*_NAMES, *_DTYPES, *_MODULES])  # noqa: PLE0605 - one table, not two lists to keep in step


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"distrt.{name}")
    if name in _NAMES or name in _DTYPES:
        importlib.import_module("distrt.core.methods")  # every tensor that is handed out has its methods
        if name in _DTYPES:
            found = importlib.import_module("distrt.core.dtype").PUBLIC_NAMES[name]
        else:
            module, attribute = _NAMES[name]
            found = getattr(importlib.import_module(module), attribute)
        globals()[name] = found
        return found
    raise AttributeError(f"module 'distrt' has no attribute {name!r}; README.md lists what this version has")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
