"""``trace_shapes``: what goes into each module and what comes out, told by hooks while a model runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module

__all__ = ["trace_shapes"]


@contextmanager
def trace_shapes(model: Module, write: Callable[[str], Any] = print) -> Iterator[None]:
    """A block in which each module of a model tells, when it has run, the shapes of its arguments and of its result.

    A module that raises gives nothing; the first line that says so names it.

    Args:
        model: any module.
        write: takes a line, such as ``layer1.0 (Conv2d): [2, 3, 32, 32] -> [2, 64, 16, 16]``.
    """
    handles = []
    for path, module in model.named_modules():
        name = f"{path or 'the model'} ({type(module).__name__})"
        handles.append(module.register_forward_hook(_teller(name, write), with_kwargs=True, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _teller(name: str, write: Callable[[str], Any]) -> Any:
    def tell(module: Module, args: Any, kwargs: Any, result: Any) -> None:
        given = [*map(_shape, args), *(f"{key}={_shape(value)}" for key, value in kwargs.items())]
        write(f"{name}: {', '.join(given)} -> {'nothing' if result is None else _shape(result)}")

    return tell


def _shape(value: Any) -> str:
    """A tensor's sizes; of a nest, those of its tensors; small values as they are; of anything else, its class."""
    if isinstance(value, Tensor):
        return str(list(value.shape))
    if isinstance(value, tuple | list):
        return f"({', '.join(map(_shape, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_shape(each)}' for key, each in value.items())}}}"
    return repr(value) if isinstance(value, bool | int | float | None) else type(value).__name__
