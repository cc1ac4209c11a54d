"""The arguments of a call: the tensors among them, others in their place, and what tells two calls apart."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from distrt.core.modes import modes
from distrt.core.tensor import Tensor

__all__ = ["call_key", "replaced", "tensors_in"]


def tensors_in(*values: Any) -> list[Tensor]:
    """The tensors in arguments, also in lists, tuples and dicts of them, in the order in which they stand."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            found += tensors_in(*value)
        elif isinstance(value, dict):
            found += tensors_in(*value.values())
    return found


def replaced(value: Any, tensors: Iterator[Any]) -> Any:
    """The same arguments with others in the place of the tensors."""
    if isinstance(value, Tensor):
        return next(tensors)
    if type(value) in (list, tuple):
        return type(value)([replaced(each, tensors) for each in value])
    if isinstance(value, dict):
        return {name: replaced(each, tensors) for name, each in value.items()}
    return value


def call_key(func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """What a call's plan depends on; it cannot be hashed where an argument cannot."""
    return (func, *map(_token, args), *((name, _token(each)) for name, each in kwargs.items()))


def _token(value: Any) -> Any:
    if isinstance(value, Tensor):
        layout = getattr(value, "_layout", None)
        dtype, is_differentiated = value.dtype, value._edge is not None and bool(modes.grad)
        if layout is None:
            return tuple(value.shape), dtype, is_differentiated
        return layout.placements, layout.shape, layout.device_mesh.shape, dtype, is_differentiated
    if isinstance(value, list | tuple):
        return (type(value), *map(_token, value))
    if isinstance(value, slice):
        return (slice, _token(value.start), _token(value.stop), _token(value.step))
    return value.__class__, value
