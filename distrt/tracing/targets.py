"""The names of operations: of a call that is running, and back from the name to the function.

Only what is in this table can be recorded, called by a replay, or named in a stored program.
"""

from __future__ import annotations

import functools
import inspect
import operator
import types
from collections.abc import Callable, Collection, Iterator
from typing import Any

from distrt.core import creation, ops
from distrt.core.definitions import in_place_functions
from distrt.core.op import REGISTRY
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as _methods_of_tensors  # noqa: F401 - every tensor that is handed out has its methods
from distrt.core.tensors import moving
from distrt.nn import functional

#: Functions that make a tensor of Python values or foreign memory: what they give is a constant.
CONSTANT = frozenset("tensor as_tensor asarray from_numpy frombuffer scalar_tensor from_dlpack".split())
#: Methods that give a tensor and are no operation of a program: they look at memory, or at the graph.
_NOT_RECORDED = frozenset(
    "as_subclass share_memory_ apply_ map_ map2_ set_ requires_grad_ retain_grad pin_memory new numpy backward".split()
)
_SPECIAL = ("__setitem__",)
_INTEGERS = ("add", "sub", "mul", "floordiv", "mod", "neg")


def size(input: Tensor, dim: int | None = None) -> Any:
    """The sizes of a tensor, or the size of one dim."""
    return input.size(dim)


@functools.cache
def lookup(target: str) -> Callable[..., Any]:
    """The function of a name.

    Raises:
        KeyError: for a name that is not in the table.
    """
    family, dot, name = target.rpartition(".")
    if not dot and name == "size":
        return size
    if not dot and name in _functions():
        return _functions()[name]
    if family == "nn.functional" and name in functional.__all__:
        return getattr(functional, name)  # type: ignore[no-any-return]
    if family == "operator" and name in _INTEGERS:
        return getattr(operator, name)  # type: ignore[no-any-return]
    if family == "Tensor" and name in _methods():
        return _methods()[name]
    raise KeyError(f"there is no operation {target!r:.80}")


@functools.cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The functions of ``core/ops`` and of ``core/creation``, by name; then the operations that have no public name."""
    found = {name: getattr(ops, name) for name in ops.__all__ if callable(getattr(ops, name))}
    found |= {name: getattr(creation, name) for name in _creating()}
    return {**{name: each for name, each in REGISTRY.items() if name not in found}, **found}


def _creating() -> list[str]:
    return [
        name
        for name in vars(creation)
        if name.islower() and inspect.isfunction(getattr(creation, name)) and name not in CONSTANT
    ]


@functools.cache
def _methods() -> dict[str, Callable[..., Any]]:
    """Methods and views of a tensor that are no function under the same name."""
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(Tensor):
        if (name.startswith("_") and name not in _SPECIAL) or name in _NOT_RECORDED or name in _functions():
            continue
        attribute = inspect.getattr_static(Tensor, name)
        if isinstance(attribute, property) and name in ("T", "mT", "H", "mH", "real", "imag", "data"):
            found[name] = attribute.fget  # type: ignore[assignment]
        elif isinstance(attribute, types.FunctionType):
            found[name] = attribute
    for name in in_place_functions.__all__:
        found.setdefault(name, getattr(in_place_functions, name))
    return found


# From a call that is running to the name


def _unwrapped(function: Any) -> Any:
    """The function within wrappers that only look at errors and ``out=``, down to the one that is called in any case.

    In-place forms, and what has an operation as ``__wrapped__`` (copies of views), are calls of their own.
    """
    while hasattr(function, "__wrapped__") and not (
        function.__code__.co_name == "change" or hasattr(function.__wrapped__, "definition")
    ):
        function = function.__wrapped__
    return function


#: Methods that take sizes as separate arguments too, and hand them on as one tuple of plain integers: their calls are
#: written down as calls of the function, with the sizes as they were given. ``_sized`` makes several of them.
_SEPARATE: dict[types.CodeType, str] = {
    _unwrapped(Tensor.reshape).__code__: "",
    moving.expand.__code__: "expand",
    moving.unflatten.__code__: "unflatten",
    moving.view.__code__: "view",
}


class _Known:
    """The code of everything that has a name. Several functions may share code, and differ in their cells."""

    def __init__(self) -> None:
        self._names: dict[types.CodeType, list[tuple[dict[str, Any], str]]] = {}
        # What an operator or a method with separate sizes calls is named, not it.
        self._passed = {_unwrapped(Tensor.__add__).__code__, *_SEPARATE}
        for name, function in _functions().items():
            if not hasattr(function, "definition"):  # operations are known by their file name
                self._add(function if name in _creating() else _unwrapped(function), name)
        for name in functional.__all__:
            function = _unwrapped(getattr(functional, name))
            if not hasattr(function, "definition") and function.__module__.startswith("distrt.nn.functional"):
                self._add(function, f"nn.functional.{name}")
        for name, function in _methods().items():
            self._add(_unwrapped(function), f"Tensor.{name}")
        for (
            name
        ) in in_place_functions.__all__:  # where there is a method of the name, this is another one's code
            self._add(_unwrapped(getattr(in_place_functions, name)), f"Tensor.{name}")

    def _add(self, function: Any, name: str) -> None:
        if not isinstance(function, types.FunctionType) or function.__code__ in self._passed:
            return
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self._names.setdefault(function.__code__, []).append((_contents(cells), name))

    @property
    def codes(self) -> Collection[types.CodeType]:
        """The code of all functions that have a name, but for operations."""
        return self._names.keys()

    def name_of(self, frame: types.FrameType) -> str | None:
        """The name of the call that a frame runs, if it has one."""
        code = frame.f_code
        filename = code.co_filename
        if filename.startswith("<op "):
            return filename[4:-1].removeprefix("distrt.") if code.co_name != "backward" else None
        if code in _SEPARATE:
            return _SEPARATE[code] or str(frame.f_locals["name"])
        candidates = self._names.get(code)
        if candidates is None:
            return None
        if len(candidates) == 1 and not candidates[0][0]:
            return candidates[0][1]
        cells = frame.f_locals
        for contents, name in candidates:
            if all(cells.get(key) is value for key, value in contents.items()):
                return name
        return None


def _contents(cells: Any) -> dict[str, Any]:
    found = {}
    for name, cell in cells:
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return found


@functools.cache
def _known() -> _Known:
    return _Known()


def name_of(frame: types.FrameType) -> str | None:
    """The name of the operation whose call a frame runs; None for any other frame."""
    return _known().name_of(frame)


def may_be_named(code: types.CodeType) -> bool:
    """Whether a frame of this code may have a name; for others it need not be looked for."""
    return code.co_filename.startswith("<op ") or code in _SEPARATE or code in _known().codes


# A call's arguments

_SPELT_OTHERWISE = {"axis": "dim", "keepdims": "keepdim"}
_EMPTY = inspect.Parameter.empty

#: A call's arguments by parameter name: the value, and which kind of parameter it is.
Given = dict[str, tuple[Any, inspect._ParameterKind]]


def arguments_of(frame: types.FrameType) -> Given:
    """What a call that is about to begin was given, by parameter name."""
    code, values = frame.f_code, frame.f_locals
    if code in _SEPARATE:
        return _joined(_SEPARATE[code] or str(values["name"]), values)
    names = code.co_varnames
    plain, keyword = code.co_argcount, code.co_kwonlyargcount
    found: Given = {name: (values[name], inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names[:plain]}
    end = plain + keyword
    if code.co_flags & inspect.CO_VARARGS:
        found[names[end]] = (values[names[end]], inspect.Parameter.VAR_POSITIONAL)
        end += 1
    found |= {name: (values[name], inspect.Parameter.KEYWORD_ONLY) for name in names[plain : plain + keyword]}
    if code.co_flags & inspect.CO_VARKEYWORDS:
        found[names[end]] = (values[names[end]], inspect.Parameter.VAR_KEYWORD)
    for numpys, name in _SPELT_OTHERWISE.items():
        if numpys in found and name in found:
            given = found.pop(numpys)[0]
            if given is not None:
                found[name] = (given, found[name][1])
    if code.co_filename.startswith("<op "):
        found.pop("out", None)
    return found


def _joined(target: str, values: dict[str, Any]) -> Given:
    """The arguments of a method with separate sizes, as those of the function."""
    apart = values.get("sizes") or values.get("shape") or ()
    if not apart:
        apart = (values.get("size"),) if values.get("size") is not None else tuple(values["named"].values())
    whole = apart[0] if len(apart) == 1 and not isinstance(apart[0], int) else apart
    given = [values["self"], *([values["dim"]] if target == "unflatten" else []), whole]
    names = list(inspect.signature(lookup(target)).parameters)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return {name: (value, kind) for name, value in zip(names, given, strict=False)}


def as_call(target: str, given: Given) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of a call; those at the end that are the defaults are left out."""
    defaults = _defaults(target)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    kept = 0
    for name, (value, kind) in given.items():
        if kind is inspect.Parameter.VAR_POSITIONAL:
            args = [*args, *value]
            kept = len(args)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            kwargs |= value
        elif kind is inspect.Parameter.KEYWORD_ONLY:
            if not _is_same(value, defaults.get(name, _EMPTY)):
                kwargs[name] = value
        else:
            args.append(value)
            if not _is_same(value, defaults.get(name, _EMPTY)):
                kept = len(args)
    return tuple(args[:kept]), kwargs


@functools.cache
def _defaults(target: str) -> dict[str, Any]:
    function = _unwrapped(lookup(target)) if target.startswith("Tensor.") else lookup(target)
    return {name: each.default for name, each in inspect.signature(function).parameters.items()}


def _is_same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and type(value) in (int, float, bool, str) and value == default


def names_of_targets() -> Iterator[str]:
    """Every name in the table."""
    yield from _functions()
    yield from (f"nn.functional.{name}" for name in functional.__all__)
    yield from (f"Tensor.{name}" for name in _methods())
    yield from (f"operator.{name}" for name in _INTEGERS)


__all__ = [
    "CONSTANT",
    "arguments_of",
    "as_call",
    "lookup",
    "may_be_named",
    "name_of",
    "names_of_targets",
    "size",
]
