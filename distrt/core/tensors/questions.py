"""Functions that ask what something is: ``is_tensor``, ``typename``, ``is_complex`` and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.storage.storage import is_storage
from distrt.core.tensor import Tensor
from distrt.core.tensors.construct import TYPE_NAMES

__all__ = [
    "get_device",
    "is_complex",
    "is_conj",
    "is_distributed",
    "is_floating_point",
    "is_inference",
    "is_neg",
    "is_nonzero",
    "is_same_size",
    "is_signed",
    "is_storage",
    "is_tensor",
    "numel",
    "typename",
]


def is_tensor(obj: Any) -> bool:
    """True for a tensor."""
    return isinstance(obj, Tensor)


def typename(obj: Any) -> str:
    """The name of a tensor's type (``torch.FloatTensor``), or of a class or an object's class with its module."""
    if isinstance(obj, Tensor):
        return "torch." + TYPE_NAMES[obj.dtype]
    named = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(named, "__module__", None) or ""
    return named.__qualname__ if module in ("", "builtins") else f"{module}.{named.__qualname__}"


def _asking(name: str) -> Callable[..., Any]:
    """The function that calls the method of the same name, of a tensor only."""
    method = getattr(Tensor, name)

    def ask(input: Tensor, *args: Any) -> Any:
        if not isinstance(input, Tensor):
            raise TypeError(
                f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
            )
        return method(input, *args)

    ask.__name__ = ask.__qualname__ = name
    ask.__doc__ = method.__doc__
    return ask


get_device = _asking("get_device")
is_complex = _asking("is_complex")
is_conj = _asking("is_conj")
is_distributed = _asking("is_distributed")
is_floating_point = _asking("is_floating_point")
is_inference = _asking("is_inference")
is_neg = _asking("is_neg")
is_nonzero = _asking("is_nonzero")
is_same_size = _asking("is_same_size")
is_signed = _asking("is_signed")
numel = _asking("numel")
