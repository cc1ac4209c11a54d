"""Facade: gradients as values, at the path that PyTorch users type. The engine is ``distrt.core.autograd``."""

from __future__ import annotations

import importlib
from typing import Any, NoReturn

from distrt.autograd import anomaly_mode, forward_ad, function, functional, grad_mode, graph
from distrt.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from distrt.autograd.function import Function
from distrt.autograd.gradcheck import gradcheck, gradgradcheck
from distrt.autograd.variable import Variable
from distrt.core.autograd.roots import backward, grad
from distrt.core.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods

__all__ = [
    "Function",
    "Variable",
    "anomaly_mode",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "forward_ad",
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
    "variable",
]


def __getattr__(name: str) -> Any:
    if name == "profiler":  # a facade of a room further to the right, loaded when asked for
        return importlib.import_module("distrt.autograd.profiler")
    raise AttributeError(f"module 'distrt.autograd' has no attribute {name!r}")


def variable(*args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: the function of PyTorch 0.4, whose name the module ``autograd.variable`` also has."""
    raise RuntimeError("torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead")


class set_multithreading_enabled:  # noqa: N801 - PyTorch's own spelling
    """Accepted, at once or for a block: a backward pass always runs in the thread that asks for it."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        pass
