"""Facade: PyTorch's ``torch.utils``. Names load on first use."""

from importlib import import_module
from typing import Any

__all__ = [
    "benchmark",
    "checkpoint",
    "collect_env",
    "data",
    "deterministic",
    "dlpack",
    "flop_counter",
    "hooks",
    "model_zoo",
    "swap_tensors",
    "tensorboard",
]


def __getattr__(name: str) -> Any:
    if name == "swap_tensors":
        return import_module("distrt.core.tensors.swapping").swap_tensors
    if name in __all__ or name == "_pytree":
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
