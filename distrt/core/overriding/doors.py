"""Where calls are offered to who may take them over: public functions, methods and attributes of tensors.

A program without subclasses of ``Tensor``, without modes and without foreign classes that take functions over pays
nothing: its functions have no such look in them. The first class or mode of that kind opens the doors: every public
function gets the code of ``_through`` in the place of its own, which looks at the arguments first. A function stays the
same object, whoever has imported it. A foreign class, which no tensor knows of, is seen when a call with it has failed.
"""

from __future__ import annotations

import os
import sys
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distrt.core.modes import used
from distrt.core.overriding import dispatch
from distrt.core.overriding.dispatch import ALL, NOTHING, PLAIN, Overridable, thread


class Door:
    """One public function, with what it does behind the look at its arguments.

    Attributes:
        behind: the function as it is without the look.
        offered: what classes are told that was called: PyTorch's ``x + y`` is ``Tensor.add``.
        is_operator: Python is to try the other operand where nobody takes the call over.
        is_scanned: its arguments are looked at; else modes alone see it.
    """

    __slots__ = ("behind", "is_operator", "is_scanned", "offered")

    def __init__(self, behind: Callable[..., Any], offered: Any, is_operator: bool, is_scanned: bool) -> None:
        self.behind, self.offered = behind, offered
        self.is_operator, self.is_scanned = is_operator, is_scanned

    def open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Offers a call to whom it concerns; makes it where that is nobody."""
        level = thread.level
        asked = dispatch.askable(args, kwargs) if level == ALL and self.is_scanned else []
        if level == NOTHING or not (asked or thread.modes):
            return self.behind(*args, **kwargs)
        result = dispatch.ask(self.offered, asked, args, kwargs)
        if result is not NotImplemented or self.is_operator:
            return result
        raise dispatch.nobody(self.offered, asked)


def _through(*args: Any, _door: Any, _used: Any, _thread: Any, _plain: Any, **kwargs: Any) -> Any:
    if not (_used.modes and _thread.modes):
        for each in (*args, *kwargs.values()) if kwargs else args:
            if each.__class__ not in _plain:
                break
        else:
            return _door.behind(*args, **kwargs) if kwargs else _door.behind(*args)
    return _door.open(args, kwargs)


class _Doors:
    """All of them.

    Attributes:
        are_open: whether functions look at their arguments.
        attributes_are_open: whether attributes do, too: where a class has a ``__torch_function__`` of its own.
        lock: is held while they are opened: classes are made, and modules read, in any thread.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.are_open = self.attributes_are_open = False
        self.functions: list[tuple[types.FunctionType, Any, bool, bool]] = []
        self.attributes: list[tuple[types.FunctionType, Any]] = []


_doors = _Doors()


def public(function: Any, *, offered: Any = None, is_operator: bool = False, is_scanned: bool = True) -> Any:
    """Notes a function as one that may be taken over, and returns it; it must be nobody's in the library itself."""
    if isinstance(function, types.FunctionType):
        entry = (function, function if offered is None else offered, is_operator, is_scanned)
        with _doors.lock:
            _doors.functions.append(entry)
            if _doors.are_open:
                _put_in(*entry)
    return function


def public_attribute(view: property, *, gives_tensors: bool = False) -> None:
    """Notes a property of tensors; one that gives tensors is looked at for every subclass."""
    for function, offered in ((view.fget, view.__get__), (view.fset, view.__set__)):
        if isinstance(function, types.FunctionType):
            if gives_tensors:
                public(function, offered=offered)
            else:
                with _doors.lock:
                    _doors.attributes.append((function, offered))
                    if _doors.attributes_are_open:
                        _put_in(function, offered, False, True)


def overridable(function: Any) -> Any:
    """A function of ``core/ops`` that may be taken over, for parts of the library that are Python in PyTorch, too."""
    definition = getattr(function, "definition", None)
    return public(own(function) if definition is None else definition.for_methods())


def offered() -> frozenset[int]:
    """The ids of the functions that may be taken over."""
    return frozenset(id(function) for function, *_ in _doors.functions)


def own(function: Any) -> Any:
    """The same function as an object of its own, for users, where the library calls the one that was given."""
    return _copy(function) if isinstance(function, types.FunctionType) else function


def behind(function: Any) -> Any:
    """The function without the look at its arguments."""
    door = (function.__kwdefaults__ or {}).get("_door")
    return function if door is None else door.behind


def open_all(attributes: bool = False) -> None:
    """From now on functions look at their arguments, and attributes, where that is wanted; all do when it returns."""
    if _doors.are_open and not attributes:
        return
    with _doors.lock:
        if not _doors.are_open:
            for entry in _doors.functions:
                _put_in(*entry)
            _doors.are_open = True
        if attributes and not _doors.attributes_are_open:
            for function, offered in _doors.attributes:
                _put_in(function, offered, False, True)
            _doors.attributes_are_open = True


def _put_in(function: types.FunctionType, offered: Any, is_operator: bool, is_scanned: bool) -> None:
    door = Door(_copy(function), offered, is_operator, is_scanned)
    extra = {"_door": door, "_used": used, "_thread": thread, "_plain": PLAIN}
    function.__wrapped__ = door.behind  # type: ignore[attr-defined]  # what its signature is read from
    function.__kwdefaults__ = {**(function.__kwdefaults__ or {}), **extra}  # of both codes, while it changes
    function.__code__ = _through.__code__.replace(co_freevars=function.__code__.co_freevars)


def _copy(function: types.FunctionType) -> types.FunctionType:
    made = types.FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    for name in ("__kwdefaults__", "__annotations__", "__doc__", "__module__", "__qualname__"):
        setattr(made, name, getattr(function, name))
    made.__dict__.update(function.__dict__)
    return made


def is_first_sight(values: Iterable[Any], kwargs: Mapping[str, Any] | None = None) -> bool:
    """Whether a failed call was the first with a foreign class that takes functions over: now it can be made again."""
    if _doors.are_open or not dispatch.askable(values, kwargs):
        return False
    open_all()
    return True


def is_first_sight_of_method(values: Iterable[Any]) -> bool:
    """The same for a method's code, which the library calls, too: it is made again only where a user has called it."""
    caller = sys._getframe(2)
    while caller.f_back is not None and caller.f_code.co_filename.endswith(
        _WRITER
    ):  # the code's very first call
        caller = caller.f_back
    return not caller.f_globals.get("__name__", "").startswith("distrt.") and is_first_sight(values)


_WRITER = os.path.join("distrt", "core", "op.py")


def _meet(cls: type) -> None:
    tensor: Any = Overridable.tensor
    given = getattr(cls.__torch_function__, "__func__", None)  # type: ignore[attr-defined]
    open_all(attributes=given is not tensor.__torch_function__.__func__)


Overridable.met = staticmethod(_meet)
