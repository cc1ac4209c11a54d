"""Facade: ``torch.autograd.grad_mode``."""

from typing import Any

from distrt.core.modes import enable_grad, inference_mode, no_grad, set_grad_enabled

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]


def __getattr__(name: str) -> Any:
    if name == "set_multithreading_enabled":  # defined where PyTorch's users find it first
        from distrt import autograd

        return autograd.set_multithreading_enabled
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
