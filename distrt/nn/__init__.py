"""Layers, losses and their services, under PyTorch's names."""

import importlib
from typing import Any

from distrt.core import methods as _methods  # noqa: F401 - tensors have their methods wherever layers exist
from distrt.nn import functional, init, utils
from distrt.nn.activation import Dropout, MaxPool2d, ReLU, Sigmoid, Tanh
from distrt.nn.batchnorm import BatchNorm1d, BatchNorm2d
from distrt.nn.container import Sequential
from distrt.nn.conv import Conv2d
from distrt.nn.linear import Flatten, Identity, Linear
from distrt.nn.loss import CrossEntropyLoss, MSELoss
from distrt.nn.module import Module
from distrt.nn.parameter import Parameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "functional",
    "init",
    "parallel",
    "utils",
]


def __getattr__(name: str) -> Any:
    if name == "parallel":  # a facade of the room to the right, loaded when asked for
        return importlib.import_module("distrt.nn.parallel")
    raise AttributeError(f"module 'distrt.nn' has no attribute {name!r}")
