"""Facade: questions about ``__torch_function__``, by which classes take PyTorch's functions over.

distrt calls no such method, so the answer is always no, and code that asks first goes on with tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError
from distrt.core.tensor import Tensor

__all__ = [
    "TorchFunctionMode",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
]

_ADVICE = "distrt calls no __torch_function__: write a function or a module around the operations"


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """False: no class takes functions over."""
    return False


def has_torch_function_unary(tensor: Any) -> bool:
    """False: no class takes functions over."""
    return False


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """False: no class takes functions over."""
    return False


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> NoReturn:
    """Raises TypeError, as where no argument takes the function over."""
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(f"no implementation found for {name!r}: {_ADVICE}")


def is_tensor_like(inp: Any) -> bool:
    """Whether this is a tensor, or of a class that wants to be taken for one."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether a function is a method of ``Tensor``."""
    name = getattr(func, "__name__", None)
    return isinstance(name, str) and getattr(Tensor, name, None) is func


class TorchFunctionMode:
    """Not in distrt."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"{type(self).__name__}: {_ADVICE}")
