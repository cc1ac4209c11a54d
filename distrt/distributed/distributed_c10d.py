"""Facade: the names of ``distrt.distributed`` once more, at the path where PyTorch defines them."""

import importlib
from typing import Any


def __getattr__(name: str) -> Any:  # not a list of its own, which would have to be kept in step
    if name == "_get_default_group":
        return importlib.import_module("distrt.comm.world").default_group
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("distrt.distributed"), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
