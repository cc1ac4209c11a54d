"""Who is asked to take a call over: the modes that are entered, and the classes of the arguments.

Source: PyTorch's protocol, https://docs.pytorch.org/docs/stable/notes/extending.html#extending-torch-python-api
"""

from __future__ import annotations

import threading
import types as python_types
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

#: How much of the protocol a thread has switched off.
ALL, MODES_ONLY, NOTHING = range(3)


class _Thread(threading.local):
    """A thread's part in it.

    Attributes:
        level: what takes calls over: all that may, modes only, or nothing.
        modes: the modes that were entered, the innermost last.
    """

    def __init__(self) -> None:
        self.level = ALL
        self.modes: list[Any] = []


thread = _Thread()

#: Classes that take nothing over and hold nothing that might, for a quick look. Tensors and parameters join them.
PLAIN: set[type] = {
    *(bool, int, float, complex, str, bytes, slice, type, type(None), type(Ellipsis), type(NotImplemented)),
    *(python_types.FunctionType, python_types.BuiltinFunctionType),
}


def _disabled(func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
    """A class with ``__torch_function__ = disabled`` takes nothing over: its operations give plain tensors."""
    with Level(MODES_ONLY):
        return func(*args, **(kwargs or {}))


disabled: Any = _disabled


def takes_over(cls: type) -> bool:
    """Whether a class has a ``__torch_function__`` that is in force."""
    return getattr(cls, "__torch_function__", disabled) is not disabled


class Level:
    """Switches a part of the protocol off for a block."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._outer: list[int] = []

    def __enter__(self) -> None:
        self._outer.append(thread.level)
        thread.level = max(thread.level, self._level)

    def __exit__(self, *exception: object) -> None:
        thread.level = self._outer.pop()


def askable(args: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> list[Any]:
    """The arguments that are to be asked, one of each class, subclasses before their bases, else from left to right."""
    found: list[Any] = []
    for value in (*args, *(kwargs or {}).values()):
        if type(value) in PLAIN:
            continue
        if isinstance(value, list | tuple) and not takes_over(type(value)):
            for each in value:
                if type(each) not in PLAIN:
                    _insert(each, found)
        else:
            _insert(value, found)
    return found


def _insert(value: Any, found: list[Any]) -> None:
    cls = type(value)
    if takes_over(cls) and all(type(each) is not cls for each in found):
        place = next((n for n, each in enumerate(found) if issubclass(cls, type(each))), len(found))
        found.insert(place, value)


def ask(
    func: Callable[..., Any], asked: Sequence[Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Any:
    """What the innermost mode, or the first of the arguments that can, makes of the call; else NotImplemented."""
    types = tuple(type(each) for each in asked)
    if thread.modes:
        mode = thread.modes.pop()
        try:
            result = mode.__torch_function__(func, types, args, dict(kwargs))
        finally:
            thread.modes.append(mode)
        if result is not NotImplemented:
            return result
    if thread.level == ALL:
        for each in asked:
            result = each.__torch_function__(func, types, args, dict(kwargs))
            if result is not NotImplemented:
                return result
    return NotImplemented


def nobody(func: Callable[..., Any], asked: Sequence[Any]) -> TypeError:
    """The error where all that were asked have returned NotImplemented."""
    kinds = [f"mode object {mode!r}" for mode in thread.modes[-1:]]
    kinds += [f"tensor subclass {type(each)!r}" for each in asked]
    return TypeError(
        f"Multiple dispatch failed for '{name_of(func)}'; all __torch_function__ handlers returned NotImplemented:\n\n"
        + "\n".join(f"  - {kind}" for kind in kinds)
    )


def name_of(func: Callable[..., Any]) -> str:
    """A function with its module, or its class."""
    name = getattr(func, "__qualname__", str(func))
    home = "distrt" if name.startswith("Tensor.") else getattr(func, "__module__", None) or "distrt"
    return f"{home}.{name}"


def default(
    cls: type, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any], kwargs: Any
) -> Any:
    """``Tensor.__torch_function__``: runs the function, and gives its results the subclass.

    NotImplemented where another class takes part that this one is no subclass of.
    """
    if not all(issubclass(cls, each) for each in types):
        return NotImplemented
    with Level(MODES_ONLY):
        result = func(*args, **(kwargs or {}))
    return result if func in kept_plain() else converted(result, cls)


def converted(result: Any, cls: type) -> Any:
    """A result, or several, as tensors of a subclass."""
    if cls is Overridable.tensor:
        return result
    if isinstance(result, Overridable):
        return result if isinstance(result, cls) else result.as_subclass(cls)  # type: ignore[attr-defined]
    if isinstance(result, tuple | list):
        return type(result)(converted(each, cls) for each in result)
    return result


def kept_plain() -> set[Callable[..., Any]]:
    """The functions whose results stay plain tensors: they read what was kept, and compute nothing."""
    tensor: Any = Overridable.tensor
    return {tensor.grad.__get__}


class Overridable:
    """What makes functions of a class's tensors overridable. A base of ``Tensor``."""

    #: ``Tensor`` itself, once it is there.
    tensor: type | None = None

    #: Is told of each class below ``Tensor`` that takes functions over.
    met: Callable[[type], None] = staticmethod(lambda cls: None)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if Overridable in cls.__bases__:
            Overridable.tensor = cls
            PLAIN.add(cls)
        elif takes_over(cls):
            Overridable.met(cls)

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Iterable[type], args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Runs a function that was given tensors of this class; what it returns are tensors of this class.

        A subclass overrides this to see, or to change, what is done with its tensors.
        """
        return default(cls, func, types, args, kwargs)
