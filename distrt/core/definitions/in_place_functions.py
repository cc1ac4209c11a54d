"""In-place forms that are functions, not methods: ``distrt.selu_(x)``, and those of ``nn.functional``.

Each overwrites its first argument, moves it to its new place in the graph, and returns it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.core import ops
from distrt.core.definitions.in_place import in_place
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.core.tensors.names import IN_PLACE_FUNCTIONS

__all__ = [
    "alpha_dropout_",
    "celu_",
    "dropout_",
    "elu_",
    "feature_alpha_dropout_",
    "feature_dropout_",
    "hardsigmoid_",
    "hardswish_",
    "hardtanh_",
    "leaky_relu_",
    "mish_",
    "relu_",
    "rrelu_",
    "selu_",
    "silu_",
    "threshold_",
]

#: Functions that are the method of the same name.
OF_METHODS = frozenset(IN_PLACE_FUNCTIONS.split())


def _form(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """The function ``NAME_`` of the operation ``NAME``."""
    name = f"{function.__name__}_"
    return _of_tensors(in_place(function, name), name)


def _of_tensors(change: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A method as a function, which says what it takes in the words for functions."""

    @functools.wraps(change)
    def changed(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        return change(input, *args, **kwargs)

    return changed


celu_ = _form(ops.celu)
elu_ = _form(ops.elu)
hardsigmoid_ = _form(ops.hardsigmoid)
hardswish_ = _form(ops.hardswish)
hardtanh_ = _form(ops.hardtanh)
leaky_relu_ = _form(ops.leaky_relu)
mish_ = _form(ops.mish)
relu_ = _form(ops.relu)
rrelu_ = _form(ops.rrelu)
selu_ = _form(ops.selu)
silu_ = _form(ops.silu)
threshold_ = _form(ops.threshold)


def _dropping(function: Callable[..., Any]) -> Callable[[Tensor, float, bool], Tensor]:
    """As ``_form``; where nothing is dropped, nothing is changed, so that even a leaf is returned as it is."""
    change = _form(function)

    @functools.wraps(change)
    def changed(input: Tensor, p: float, train: bool) -> Tensor:
        drops = train and p != 0 and input.numel()
        return change(input, p, train) if drops else function(input, p, train)

    return changed


def __getattr__(name: str) -> Callable[..., Any]:
    if name not in OF_METHODS:
        raise AttributeError(name)
    return _of_tensors(getattr(Tensor, name), name)


alpha_dropout_ = _dropping(ops.alpha_dropout)
dropout_ = _dropping(ops.dropout)
feature_alpha_dropout_ = _dropping(ops.feature_alpha_dropout)
feature_dropout_ = _dropping(ops.feature_dropout)
