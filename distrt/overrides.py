"""Facade: ``__torch_function__``, by which classes and modes take functions over."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from distrt.core.overriding import dispatch, doors
from distrt.core.overriding.modes import BaseTorchFunctionMode, TorchFunctionMode
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

#: Where functions are that may be taken over.
_HOMES = ("distrt", "distrt.nn.functional", "distrt.linalg", "distrt.fft", "distrt.special")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether a call with these arguments is to be offered: to the class of one of them, or to a mode."""
    if dispatch.thread.level == dispatch.ALL and dispatch.askable(relevant_args):
        return True
    return dispatch.thread.level < dispatch.NOTHING and bool(dispatch.thread.modes)


def has_torch_function_unary(tensor: Any) -> bool:
    """The same for one argument."""
    return has_torch_function((tensor,))


def has_torch_function_variadic(*relevant_args: Any) -> bool:
    """The same for arguments one by one."""
    return has_torch_function(relevant_args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Offers a call of ``public_api`` to modes and to the classes of the arguments; what the first of them returns.

    Raises:
        TypeError: where all return NotImplemented.
    """
    asked = dispatch.askable(relevant_args)
    result = dispatch.ask(public_api, asked, args, kwargs)
    if result is NotImplemented:
        name = f"{public_api.__module__}.{public_api.__name__}"
        kinds = [type(each) for each in asked]
        raise TypeError(
            f"no implementation found for '{name}' on types that implement __torch_function__: {kinds}"
        )
    return result


def wrap_torch_function(dispatcher: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator that offers calls of a function; ``dispatcher`` picks the arguments to be asked from its own."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return wrap


def is_tensor_like(inp: Any) -> bool:
    """Whether this is a tensor, or of a class that wants to be taken for one."""
    return isinstance(inp, Tensor) or hasattr(inp, "__torch_function__")


def get_default_nowrap_functions() -> set[Callable[..., Any]]:
    """What ``Tensor.__torch_function__`` gives back as it is, without the subclass."""
    return dispatch.kept_plain()


@functools.cache
def _names() -> dict[Any, dict[Callable[..., Any], str]]:
    """All that may be taken over, by home, with its full name."""
    offered = doors.offered()
    found: dict[Any, dict[Callable[..., Any], str]] = {}
    for path in _HOMES:
        home = importlib.import_module(path)
        listed = {name: getattr(home, name) for name in home.__all__}
        found[home] = {
            each: f"torch{path[6:]}.{name}" for name, each in listed.items() if _is_in(offered, each)
        }
    of_tensors: dict[Callable[..., Any], str] = {}
    for name in dir(Tensor):
        attribute = inspect.getattr_static(Tensor, name)
        if isinstance(attribute, property):
            of_tensors |= {attribute.__get__: f"torch.Tensor.{name}.__get__"}
            of_tensors |= {attribute.__set__: f"torch.Tensor.{name}.__set__"}
        elif _is_in(offered, attribute):
            of_tensors[attribute] = f"torch.Tensor.{name}"
    found[Tensor] = of_tensors
    return found


def _is_in(offered: frozenset[int], function: Any) -> bool:
    return id(function) in offered


def get_overridable_functions() -> dict[Any, list[Callable[..., Any]]]:
    """The functions and methods that may be taken over, by module or class."""
    return {home: list(functions) for home, functions in _names().items()}


@functools.cache
def get_ignored_functions() -> set[Callable[..., Any]]:
    """Public functions of ``distrt`` that no class takes over: they set something, or make tensors of values."""
    home = importlib.import_module("distrt")
    taken = _names()[home]
    return {
        each for name in home.__all__ if inspect.isfunction(each := getattr(home, name)) and each not in taken
    }


def resolve_name(f: Callable[..., Any]) -> str | None:
    """The full name of a function that may be taken over, such as ``torch.Tensor.shape.__get__``; None for others."""
    return next((names[f] for names in _names().values() if f in names), None)


def is_tensor_method_or_property(func: Callable[..., Any]) -> bool:
    """Whether a function is a method of ``Tensor``, or reads or sets an attribute."""
    return func in _names()[Tensor]
