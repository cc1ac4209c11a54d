"""Objects of Python that files may hold, each made by a function that looks at the arguments first.

``CALLS`` has these functions by what the file calls, those for NumPy's values (``arrays``) among them. Most classes are
harmless in themselves; what has to be kept out are arguments that make a small file large (``bytearray(10**12)``), or
that run code (a codec by its name).
"""

from __future__ import annotations

import argparse
import collections
import copyreg
import datetime
import decimal
import fractions
import functools
import pathlib
import re
import types
import uuid
from _codecs import encode
from typing import Any

import numpy as np

from distrt.core.device import device
from distrt.core.tensors.size import Size
from distrt.files import arrays
from distrt.files.faults import UnpicklingError, quoted
from distrt.files.opcodes import checked_key
from distrt.files.rebuilding import Budget

_ALWAYS = {
    "_codecs.encode": encode,
    "builtins.bytearray": bytearray,
    "builtins.complex": complex,
    "builtins.set": set,
    "collections.Counter": collections.Counter,
    "collections.OrderedDict": collections.OrderedDict,
}

_DATES = (datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone)
_PATHS = (pathlib.Path, pathlib.PosixPath, pathlib.PurePath, pathlib.PurePosixPath)
_VALUES = (bool, bytes, dict, float, frozenset, int, list, object, range, slice, str, tuple)
_STANDARD = (
    argparse.Namespace,
    collections.defaultdict,
    collections.deque,
    decimal.Decimal,
    fractions.Fraction,
    functools.partial,
    types.SimpleNamespace,
    uuid.UUID,
    *_DATES,
    *_PATHS,
    *_VALUES,
)
#: These may be made empty, and given any attributes.
_HARMLESS = (argparse.Namespace, types.SimpleNamespace, uuid.UUID)

#: Makes an object in protocols 0 and 1; the builder does its work.
RECONSTRUCTOR: Any = copyreg._reconstructor  # type: ignore[attr-defined]

_ON_REQUEST: dict[str, Any] = {
    **{f"{each.__module__}.{each.__qualname__}": each for each in _STANDARD},
    "builtins.Ellipsis": ...,
    "copyreg._reconstructor": RECONSTRUCTOR,
    "numpy.core.multiarray._reconstruct": arrays.RECONSTRUCT,
    "numpy._core.multiarray._reconstruct": arrays.RECONSTRUCT,
    "numpy.core.multiarray.scalar": arrays.SCALAR,
    "numpy._core.multiarray.scalar": arrays.SCALAR,
    "numpy.core.numeric._frombuffer": arrays.FROM_BUFFER,
    "numpy._core.numeric._frombuffer": arrays.FROM_BUFFER,
    "numpy.dtype": np.dtype,
    "numpy.ndarray": np.ndarray,
}


def always(path: str) -> Any:
    """What any file may name."""
    return _ALWAYS.get(path)


def for_modules(path: str) -> Any:
    """What files of whole modules may name besides: a bound method is written as a call of ``getattr``."""
    return getattr if path == "builtins.getattr" else None


def on_request(path: str) -> Any:
    """What a file may name where the caller has said so; NumPy's classes of dtypes among them."""
    found = _ON_REQUEST.get(path)
    if found is None and path.startswith("numpy.dtypes."):
        found = getattr(np.dtypes, path.removeprefix("numpy.dtypes."), None)
        found = found if isinstance(found, type) and issubclass(found, np.dtype) else None
    return found


def is_harmless(kind: type) -> bool:
    """True for a class that may be made empty and given any attributes."""
    return kind in _HARMLESS


# -- calls: each is given the budget and the arguments


def _members(budget: Budget, *values: Any) -> list[Any]:
    if len(values) > 1 or (values and not isinstance(values[0], list | tuple)):
        raise UnpicklingError(f"expected a list, got {quoted(values)}")
    found = list(values[0]) if values else []
    budget.spend(64 * len(found))
    return found


def _set_of(kind: Any) -> Any:
    return lambda budget, *values: kind(map(checked_key, _members(budget, *values)))


def _mapping_of(kind: Any) -> Any:
    def make(budget: Budget, *values: Any) -> Any:
        if values and isinstance(values[0], dict):
            budget.spend(64 * len(values[0]))
            return kind(*values)
        return kind({checked_key(key): value for key, value in _members(budget, *values)})

    return make


def _encode(budget: Budget, text: Any, codec: Any = "latin1") -> bytes:
    if not isinstance(text, str) or codec not in ("latin1", "latin-1"):
        raise UnpicklingError(f"bytes are written as latin1, not as {quoted(codec)}")
    budget.spend(len(text))
    return text.encode("latin-1")


def _bytearray(budget: Budget, data: Any = b"", codec: Any = "latin1") -> bytearray:
    if not isinstance(data, bytes):
        return bytearray(_encode(budget, data, codec))
    budget.spend(len(data))
    return bytearray(data)


def _complex(budget: Budget, real: Any = 0.0, imag: Any = 0.0) -> complex:
    if not isinstance(real, int | float) or not isinstance(imag, int | float):
        raise UnpicklingError(f"expected two numbers, got {quoted((real, imag))}")
    return complex(real, imag)


def _size(budget: Budget, sizes: Any = ()) -> Size:
    if not isinstance(sizes, tuple | list) or not all(type(each) is int for each in sizes):
        raise UnpicklingError(f"expected the sizes of a tensor, got {quoted(sizes)}")
    budget.spend(16 * len(sizes))
    return Size(sizes)


def _device(budget: Budget, *arguments: Any) -> device:
    return device(*arguments)


def _default_dict(budget: Budget, factory: Any = None) -> Any:
    if factory is not None and not callable(factory):
        raise UnpicklingError(f"a defaultdict needs a function, got {quoted(factory)}")
    return collections.defaultdict(factory)


def _deque(budget: Budget, values: Any = (), longest: Any = None) -> Any:
    return collections.deque(_members(budget, values), longest)


def _integers_to(kind: Any) -> Any:
    def make(budget: Budget, *values: Any) -> Any:
        if not all(each is None or type(each) is int for each in values):
            raise UnpicklingError(f"expected integers, got {quoted(values)}")
        return kind(*values)

    return make


def _plain_to(kind: Any) -> Any:
    """A call with plain values only: strings, bytes and numbers are all that these classes write."""

    def make(budget: Budget, *values: Any) -> Any:
        if not all(
            isinstance(each, str | bytes | int | datetime.tzinfo | datetime.timedelta) for each in values
        ):
            raise UnpicklingError(f"{kind.__name__}: unexpected arguments {quoted(values)}")
        budget.spend(sum(len(each) for each in values if isinstance(each, str | bytes)))
        return kind(*values)

    return make


def _fraction(budget: Budget, numerator: Any, denominator: Any = 1) -> Any:
    if isinstance(numerator, str) and re.fullmatch(
        r"-?\d{1,4000}(/\d{1,4000})?", numerator
    ):  # as Python 3.11 writes it
        return fractions.Fraction(numerator)
    if type(numerator) is not int or type(denominator) is not int:
        raise UnpicklingError(f"expected a fraction, got {quoted((numerator, denominator))}")
    return fractions.Fraction(numerator, denominator)


def _empty_namespace(budget: Budget) -> Any:
    return types.SimpleNamespace()


def _partial(budget: Budget, function: Any, *rest: Any) -> Any:
    if rest or not callable(function):
        raise UnpicklingError(f"a partial function needs a function, got {quoted(function)}")
    return functools.partial(function)


def _bytes(budget: Budget, *arguments: Any) -> bytes:
    """As protocols 0 to 2 have ``b""``; longer ones are encoded text."""
    if arguments:
        raise UnpicklingError(f"bytes are written as encoded text, not as {quoted(arguments)}")
    return b""


#: What a file may call -> what is called in its place, with a budget before the arguments.
CALLS: dict[Any, Any] = {
    encode: _encode,
    bytes: _bytes,
    bytearray: _bytearray,
    complex: _complex,
    set: _set_of(set),
    frozenset: _set_of(frozenset),
    collections.Counter: _mapping_of(collections.Counter),
    collections.OrderedDict: _mapping_of(collections.OrderedDict),
    Size: _size,
    device: _device,
    collections.defaultdict: _default_dict,
    collections.deque: _deque,
    range: _integers_to(range),
    slice: _integers_to(slice),
    decimal.Decimal: _plain_to(decimal.Decimal),
    fractions.Fraction: _fraction,
    functools.partial: _partial,
    types.SimpleNamespace: _empty_namespace,
    **arrays.CALLS,
    **{each: _plain_to(each) for each in (*_DATES, *_PATHS)},
}


# -- states


def set_state(value: Any, state: Any, budget: Budget) -> bool:
    """Gives an object of NumPy or of the standard library its state; False where it is none of these."""
    if type(value) is collections.OrderedDict:
        vars(value).update(state)
    elif type(value) is functools.partial:
        function, arguments, keywords, attributes = state
        if not callable(function) or type(arguments) is not tuple or type(keywords) is not dict or attributes:
            raise UnpicklingError(f"a partial function has the state {quoted(state)}")
        restored: Any = value
        restored.__setstate__((function, arguments, keywords, None))
    elif type(value) is uuid.UUID:
        number: Any = value
        number.__setstate__({"int": int(state["int"])})
    else:
        return arrays.set_state(value, state, budget)
    return True
