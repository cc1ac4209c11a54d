"""Types of a program: read from annotations, printed, and held against values.

A type is a name (``"Tensor"``, ``"int"``), or a list that begins with what it is composed of: ``["List", "int"]``,
``["Optional", T]``, ``["Dict", K, V]``, ``["Tuple", T, ...]``, ``["Union", T, ...]``. None is a type that is not known.
"""

from __future__ import annotations

import types
import typing
from typing import Any

from distrt.comm.futures import Future
from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor

_NAMES: dict[Any, str] = {
    Tensor: "Tensor",
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
    complex: "complex",
    None: "None",
    type(None): "None",
    Any: "Any",
    device: "Device",
    dt.dtype: "int",
    list: "List",
    dict: "Dict",
    tuple: "Tuple",
    typing.List: "List",  # noqa: UP006
    typing.Dict: "Dict",  # noqa: UP006
    typing.Tuple: "Tuple",  # noqa: UP006
}
_ORIGINS: dict[Any, str] = {list: "List", dict: "Dict", tuple: "Tuple"}


def of_annotation(annotation: Any) -> Any:
    """The type of an annotation.

    Raises:
        TypeError: for one that a program cannot have.
    """
    try:
        if annotation in _NAMES:
            name = _NAMES[annotation]
            if name in ("List", "Dict", "Tuple"):
                raise TypeError(f"Attempted to use {name} without a contained type. Please add a contained type, e.g. "
                                f"{name}[int]")  # fmt: skip
            return name
    except TypeError as fault:
        if "contained type" in str(fault):
            raise
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _ORIGINS:
        return [_ORIGINS[origin], *(of_annotation(each) for each in arguments if each not in ((), ...))]
    if origin in (typing.Union, types.UnionType):
        inner = [of_annotation(each) for each in arguments if each is not type(None)]
        whole = inner[0] if len(inner) == 1 else ["Union", *inner]
        return ["Optional", whole] if len(inner) < len(arguments) else whole
    if origin is Future and arguments:  # what ``jit.fork`` gives is there at once
        return of_annotation(arguments[0])
    if origin is typing.Final or str(origin).endswith("Final"):
        return of_annotation(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, Tensor):
        return "Tensor"
    if isinstance(annotation, type) and issubclass(annotation, tuple) and hasattr(annotation, "_fields"):
        hints = typing.get_type_hints(annotation)
        return ["Tuple", *(of_annotation(hints.get(each, Tensor)) for each in annotation._fields)]
    raise TypeError(f"Unknown type annotation: '{getattr(annotation, '__name__', annotation)}'")


def text_of(kind: Any) -> str:
    """The type as messages and ``.code`` show it."""
    if kind is None:
        return "Any"
    if isinstance(kind, str):
        return {"None": "NoneType"}.get(kind, kind)
    return f"{kind[0]}[{', '.join(text_of(each) for each in kind[1:])}]"


def holds(kind: Any, value: Any) -> bool:
    """True where a value is of a type; numbers as PyTorch converts them."""
    if kind is None or kind in ("Any", "Module", "Generator", "Layout"):
        return True
    if isinstance(kind, str):
        return _is_plain(kind, value)
    if kind[0] == "Optional":
        return value is None or holds(kind[1], value)
    if kind[0] == "Union":
        return any(holds(each, value) for each in kind[1:])
    if kind[0] == "List":
        return isinstance(value, list | tuple) and all(holds(kind[1], each) for each in value)
    if kind[0] == "Dict":
        return isinstance(value, dict) and all(
            holds(kind[1], key) and holds(kind[2], each) for key, each in value.items()
        )
    if kind[0] == "Tuple":
        fits = isinstance(value, tuple) and len(value) == len(kind) - 1
        return fits and all(holds(each, one) for each, one in zip(kind[1:], value, strict=True))
    return True


def _is_plain(kind: str, value: Any) -> bool:
    if kind == "Tensor":
        return isinstance(value, Tensor)
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int | dt.dtype) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool))
    if kind == "number":
        return isinstance(value, int | float | complex)
    known: dict[str, Any] = {
        "str": str,
        "complex": complex,
        "None": type(None),
        "Device": device | str,
        "Dtype": dt.dtype,
        "List": list,
        "Dict": dict,
        "Tuple": tuple,
    }
    return bool(isinstance(value, known[kind]))


def of_value(value: Any) -> Any:
    """The type of a value, as messages name it; None where that is not known, as for an empty list."""
    if isinstance(value, Tensor):
        return "Tensor"
    if type(value) in (int, float, bool, str, complex, type(None), device):
        return _NAMES[type(value)]
    if isinstance(value, list):
        return ["List", of_value(value[0])] if value else None
    if isinstance(value, dict):
        return ["Dict", *map(of_value, next(iter(value.items())))] if value else None
    if isinstance(value, tuple):
        return ["Tuple", *map(of_value, value)]
    return None


def fits(wanted: Any, given: Any) -> bool:
    """True unless a value of the type ``given`` is for certain none of ``wanted``."""
    if wanted is None or given is None or wanted == given or "Any" in (wanted, given):
        return True
    if isinstance(wanted, list) and wanted[0] == "Optional":
        inner = given[1] if isinstance(given, list) and given[0] == "Optional" else given
        return inner == "None" or fits(wanted[1], inner)
    if isinstance(wanted, list) and wanted[0] == "Union":
        return any(fits(each, given) for each in wanted[1:])
    if isinstance(wanted, list) and isinstance(given, list):
        same = wanted[0] == given[0] and len(wanted) == len(given)
        return same and all(fits(one, other) for one, other in zip(wanted[1:], given[1:], strict=True))
    if wanted == "number":
        return given in ("int", "float", "complex", "bool")
    return bool(wanted == "Device" and given == "str")


def joined(one: Any, other: Any) -> Any:
    """The type that a name has after two branches gave it one each: unknown where they differ but may agree."""
    if one == other:
        return one
    if one == "None" and other is not None:
        return other if isinstance(other, list) and other[0] == "Optional" else ["Optional", other]
    if other == "None":
        return joined(other, one)
    for wide, narrow in ((one, other), (other, one)):
        if isinstance(wide, list) and wide[0] == "Optional" and fits(wide, narrow):
            return wide
    return None
