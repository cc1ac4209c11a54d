"""Facade: gradients as values, at the path that PyTorch users type. The engine is ``distrt.core.autograd``."""

from __future__ import annotations

import importlib
from typing import Any

from distrt.autograd import anomaly_mode, function, functional, grad_mode, graph
from distrt.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from distrt.autograd.function import Function
from distrt.autograd.gradcheck import gradcheck, gradgradcheck
from distrt.core import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.core.autograd.roots import backward, grad
from distrt.core.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from distrt.core.tensor import Tensor

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


def __getattr__(name: str) -> Any:
    if name == "profiler":  # a facade of a room further to the right, loaded when asked for
        return importlib.import_module("distrt.autograd.profiler")
    raise AttributeError(f"module 'distrt.autograd' has no attribute {name!r}")


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """A tensor of the same memory, outside the graph; scripts from before PyTorch 0.4 wrap every tensor in it."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """The tensor: there are no variables beside tensors."""
        return data.detach().requires_grad_(requires_grad)


class set_multithreading_enabled:  # noqa: N801 - PyTorch's own spelling
    """Accepted, at once or for a block: a backward pass always runs in the thread that asks for it."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass
