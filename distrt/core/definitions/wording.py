"""Errors in a tensor user's words: what a wrong argument raises, when it was found deep inside a function.

A function that is composed of operations looks at its arguments only where it uses them, so a wrong one may be noticed
late, and in Python's or NumPy's words. ``worded`` puts nothing in front of the function; when it has failed, the
arguments are held against the annotations, and the first of a wrong kind is named, as PyTorch does before it starts.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import gpu
from distrt.core.arrays import FOREIGN, bool_in, explain, no_tensor
from distrt.core.definitions.older_forms import in_newer_order
from distrt.core.errors import DistrtError
from distrt.core.modes import used
from distrt.core.overriding import doors
from distrt.core.sparse.array import LayoutFault
from distrt.core.sparse.forms import sparse_form_for
from distrt.core.tensor import Tensor
from distrt.core.tensors.names import NUMPY_NAMES

#: What a fault says that is in PyTorch's words already.
_IN_PYTORCHS_WORDS = re.compile(r"\(\): argument '|has no attribute 'size'$")

#: Functions that make plain tensors of any values, tensors of subclasses among them.
_MADE_OF_VALUES = frozenset(("as_tensor", "asarray", "from_numpy", "frombuffer", "scalar_tensor", "tensor"))

_TENSOR_NAMES = frozenset(("input", "self", "tensor"))


def hand_out(facade: dict[str, Any]) -> None:
    """Puts what users get in the place of each function that a facade lists: ``hand_out(globals())`` at its end."""
    for name in facade["__all__"]:
        facade[name] = as_users_get(facade[name], facade["__name__"], name)


def as_users_get(function: Any, module: str, name: str) -> Any:
    """The function as ``module.name``: it takes no arrays for tensors, and has its errors in a user's words."""
    definition = getattr(function, "definition", None)
    made = worded(function) if definition is None else definition.for_users()
    if made is not function:
        made.__module__, made.__qualname__ = module, name  # where pickle finds it
        doors.public(made, is_scanned=name not in _MADE_OF_VALUES)
    return made


def worded(function: Callable[..., Any], is_method: bool = False) -> Callable[..., Any]:
    """The function, with its errors about wrong arguments in a user's words; an operation says them itself."""
    if not inspect.isfunction(function) or hasattr(function, "definition"):
        return function

    flags = _flags(function)

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if flags and (len(args) > 1 or kwargs):
            args = _with_flags(function.__name__, flags, args, kwargs)
        try:
            if used.gpu:
                result = gpu.calls.there(function, *args, **kwargs)
            else:
                result = function(*args, **kwargs)
        except (AttributeError, IndexError, OverflowError, RuntimeError, TypeError, ValueError) as fault:
            if doors.is_first_sight(args, kwargs):
                return run(*args, **kwargs)
            if fault.__class__ is LayoutFault:
                return sparse_form_for(function.__name__, fault, args, kwargs)
            renamed = _renamed(kwargs, fault)
            if renamed is not None:
                return run(*args, **renamed)
            newer = in_newer_order(function.__name__, is_method, args, kwargs)
            if newer is not None:
                return run(*newer[0], **newer[1])
            better = _better(function, is_method, args, kwargs, fault)
            if better is None:
                raise
            raise better from fault
        if result.__class__ is not Tensor and _is_of_arrays(result):
            raise _no_tensor(function, args, kwargs)  # it computes on arrays, as the derivative rules have it
        return result

    return run


def _flags(function: Callable[..., Any]) -> dict[str, int]:
    """The parameters that are True or False, with their places, of what is composed of operations.

    Functions of networks leave flags alone: most are Python in PyTorch, too, where 1 is true.
    """
    if not function.__module__.startswith("distrt.core.ops."):
        return {}
    parameters = inspect.signature(function).parameters.values()
    return {each.name: place for place, each in enumerate(parameters) if str(each.annotation) == "bool"}


def _with_flags(
    name: str, flags: dict[str, int], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, ...]:
    """The positional arguments, with flags read; those by keyword are read in place."""
    for flag, place in flags.items():
        if flag in kwargs:
            if not isinstance(kwargs[flag], bool):
                kwargs[flag] = bool_in(name, flag, kwargs[flag])
        elif place < len(args) and not isinstance(args[place], bool):
            args = (*args[:place], bool_in(name, flag, args[place]), *args[place + 1 :])
    return args


def _is_of_arrays(value: Any) -> bool:
    first = value[0] if isinstance(value, list | tuple) and value else value
    return isinstance(first, np.ndarray | np.generic)


def _no_tensor(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> TypeError:
    first = next(iter(inspect.signature(function).parameters if args else kwargs))
    return no_tensor(function.__name__, first, (*args, *kwargs.values())[0])


def _renamed(kwargs: dict[str, Any], fault: Exception) -> dict[str, Any] | None:
    """The keywords with PyTorch's names for NumPy's, where one of these is what the function did not know."""
    for name, numpys in NUMPY_NAMES.items():
        if (
            numpys in kwargs
            and name not in kwargs
            and f"unexpected keyword argument '{numpys}'" in str(fault)
        ):
            return {(name if key == numpys else key): value for key, value in kwargs.items()}
    return None


def _better(
    function: Callable[..., Any],
    is_method: bool,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    fault: Exception,
) -> Exception | None:
    """The error to raise instead, or None where this one may stay."""
    if _IN_PYTORCHS_WORDS.search(str(fault)):
        return None
    signature = inspect.signature(function)
    try:
        given = signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None  # too many arguments, or too few: Python says it well
    name = function.__name__
    for position, parameter in enumerate(signature.parameters.values()):
        if parameter.name not in given or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        value = given[parameter.name]
        expected = _expected(parameter, value)
        if expected is not None:
            place = (
                ""
                if parameter.kind is parameter.KEYWORD_ONLY
                else f" (position {position + (not is_method)})"
            )
            kind = type(value).__name__
            return TypeError(f"{name}(): argument '{parameter.name}'{place} must be {expected}, not {kind}")
    if isinstance(fault, DistrtError) or not FOREIGN.search(str(fault)):
        return None
    values = (*args, *kwargs.values())
    if _is_of_arrays(values) and not any(isinstance(value, Tensor) for value in values):
        return _no_tensor(function, args, kwargs)
    if isinstance(fault, AttributeError | TypeError) or "literal" in str(fault):
        kinds = ", ".join(type(value).__name__ for value in values)
        return TypeError(f"{name}() received an invalid combination of arguments - got ({kinds})")
    return explain(fault, name, tuple(getattr(each, "_array", each) for each in args))


def _expected(parameter: inspect.Parameter, value: Any) -> str | None:
    """What the parameter expects, where the value is of another kind for certain; else None."""
    kinds = {kind.strip() for kind in str(parameter.annotation).split("|")}
    if value is parameter.default or (value is None and "None" in kinds):
        return None
    if parameter.name in _TENSOR_NAMES or kinds <= {"Tensor", "Array", "None"}:
        is_other = "Scalar" in kinds or "Sequence" in str(parameter.annotation)
        return None if isinstance(value, Tensor) or hasattr(value, "dtype") or is_other else "Tensor"
    wanted = kinds - {"None"}
    if isinstance(value, Tensor) and value._array.ndim == 0 and not wanted <= {"bool", "str"}:
        return None  # stands for its number
    if wanted == {"bool"}:
        return None if isinstance(value, bool) else "bool"
    if wanted == {"int"}:
        return None if isinstance(value, int | np.integer) else "int"
    if wanted <= {"float", "int", "Scalar", "complex"}:
        return None if isinstance(value, bool | int | float | complex | np.generic) else "Number"
    if wanted == {"str"}:
        return None if isinstance(value, str) else "str"
    return None
