"""What a program may name: functions, methods of tensors, texts, lists and dicts, attributes, types.

A name that is not here does not compile, and is refused when an archive is read.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import math
import string
from collections.abc import Callable
from typing import Any

from distrt.core import creation
from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import ScriptError
from distrt.core.modes import is_grad_enabled
from distrt.core.random.generator import manual_seed
from distrt.core.tensor import Tensor
from distrt.core.tensors import formats, questions
from distrt.tracing import targets

PLAIN_TYPES = frozenset(
    "Tensor int float bool str complex None Any Device Dtype number List Dict Tuple Module Generator Layout".split()
)
COMPOSED_TYPES = frozenset("Optional List Dict Tuple Union Future".split())

DTYPES = {name: each for name, each in dt.PUBLIC_NAMES.items() if isinstance(each, dt.dtype)}
MEMORY_FORMATS = {
    name: getattr(formats, name)
    for name in ("channels_last", "channels_last_3d", "contiguous_format", "preserve_format")
}

_BUILTINS = (
    "abs all any bin bool chr complex dict divmod enumerate float hex int len list max min oct ord pow print range "
    "reversed round sorted str sum tuple zip"
).split()
_MATH = [name for name in dir(math) if not name.startswith("_") and callable(getattr(math, name))]


def _device(*given: Any) -> device:
    """``torch.device(...)``."""
    return device(*given)


def _numel(input: Tensor) -> int:
    return input.numel()


def _is_tensor(obj: Any) -> bool:
    return isinstance(obj, Tensor)


def _unused(message: str) -> Any:
    """What a program does in the place of a call that ``@jit.unused`` has taken out of it."""
    raise ScriptError(message)


def _as_int(value: Any) -> int:
    """What PyTorch puts where an ``int`` is wanted and a tensor is given."""
    return int(_scalar(value))


def _as_float(value: Any) -> float:
    """The same for a ``float``."""
    return float(_scalar(value))


def _scalar(value: Any) -> Any:
    if isinstance(value, Tensor) and value.dim():
        raise RuntimeError("Cannot input a tensor of dimension other than 0 as a scalar argument")
    return value


#: Functions of ``distrt`` that are no operations of the table in ``tracing``.
_MORE: dict[str, Callable[..., Any]] = {
    "jit.as_float": _as_float,
    "jit.as_int": _as_int,
    "jit.unused": _unused,
    "torch.as_tensor": creation.as_tensor,
    "torch.device": _device,
    "torch.is_complex": questions.is_complex,
    "torch.is_floating_point": questions.is_floating_point,
    "torch.is_grad_enabled": is_grad_enabled,
    "torch.is_nonzero": questions.is_nonzero,
    "torch.is_tensor": _is_tensor,
    "torch.manual_seed": manual_seed,
    "torch.numel": _numel,
    "torch.scalar_tensor": creation.scalar_tensor,
    "torch.tensor": creation.tensor,
}


def has(target: str) -> bool:
    """True where there is such an operation."""
    try:
        function(target)
    except KeyError:
        return False
    return True


@functools.cache
def function(target: str) -> Callable[..., Any]:
    """The function that ``["call", target, ...]`` calls.

    Raises:
        KeyError: for a name that is not in the table.
    """
    family, _, name = target.rpartition(".")
    if family == "builtins" and name in _BUILTINS:
        return getattr(builtins, name)  # type: ignore[no-any-return]
    if family == "math" and name in _MATH:
        return getattr(math, name)  # type: ignore[no-any-return]
    if target in _MORE:
        return _MORE[target]
    return targets.lookup(target)


_NO_METHODS = frozenset(
    "apply_ map_ map2_ numpy register_hook register_post_accumulate_grad_hook set_ share_memory_ as_subclass "
    "storage untyped_storage to_dlpack retain_grad new".split()
)


@functools.cache
def methods_of_tensors() -> frozenset[str]:
    """The names of methods that a program may call on a tensor."""
    return frozenset(
        name
        for name in dir(Tensor)
        if not name.startswith("_")
        and name not in _NO_METHODS
        and inspect.isroutine(inspect.getattr_static(Tensor, name))
    )


ATTRIBUTES_OF_TENSORS = frozenset(
    "H T data device dtype grad imag is_cpu is_cuda is_leaf is_mkldnn is_mps is_quantized is_sparse itemsize layout mH "
    "mT nbytes ndim real requires_grad shape".split()
)
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(
        "capitalize center count endswith expandtabs find format index isalnum isalpha isdecimal isdigit isidentifier "
        "islower isnumeric isprintable isspace istitle isupper join ljust lower lstrip partition replace rfind rindex "
        "rjust rpartition rsplit rstrip split splitlines startswith strip swapcase title upper zfill".split()
    ),
    list: frozenset("append clear copy count extend index insert pop remove reverse sort".split()),
    dict: frozenset("clear copy get items keys pop popitem setdefault update values".split()),
    tuple: frozenset("count index".split()),
    int: frozenset(("bit_length",)),
    float: frozenset(("is_integer",)),
    complex: frozenset(("conjugate",)),
}
_ATTRIBUTES: dict[type, frozenset[str]] = {
    device: frozenset(("type", "index")),
    dt.dtype: frozenset(("is_floating_point", "is_complex", "itemsize", "is_signed")),
    complex: frozenset(("real", "imag")),
}


class _Formatter(string.Formatter):
    """``str.format`` without a way into the attributes of what is formatted."""

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> Any:
        if not field_name.isidentifier() and not field_name.isdecimal():
            raise ValueError(f"format: a field must be a name or a number, not {field_name!r:.60}")
        return self.get_value(
            int(field_name) if field_name.isdecimal() else field_name, args, kwargs
        ), field_name


_formatter = _Formatter()


def _size(value: Tensor, dim: int | None = None) -> Any:
    """Sizes are a list in programs, as in PyTorch's."""
    return list(value.shape) if dim is None else value.size(dim)


def method(value: Any, name: str) -> Callable[..., Any]:
    """The bound method of a value that is no module.

    Raises:
        RuntimeError: where a program cannot call that.
    """
    if isinstance(value, Tensor):
        if name == "size":
            return functools.partial(_size, value)
        if name in methods_of_tensors():
            return getattr(value, name)  # type: ignore[no-any-return]
    elif isinstance(value, str) and name == "format":
        return functools.partial(_formatter.format, value)
    else:
        for kind in type(value).__mro__:
            if name in _METHODS.get(kind, ()):
                return getattr(value, name)  # type: ignore[no-any-return]
    raise RuntimeError(f"'{type(value).__name__}' object has no attribute or method '{name}'")


def attribute(value: Any, name: str) -> Any:
    """The attribute of a value that is no module.

    Raises:
        RuntimeError: where a program cannot read that.
    """
    if isinstance(value, Tensor):
        if name == "shape":
            return list(value.shape)
        if name in ATTRIBUTES_OF_TENSORS:
            return getattr(value, name)
    elif isinstance(value, tuple) and name in getattr(type(value), "_fields", ()):
        return getattr(value, name)
    else:
        for kind in type(value).__mro__:
            if name in _ATTRIBUTES.get(kind, ()):
                return getattr(value, name)
    raise RuntimeError(f"'{type(value).__name__}' object has no attribute or method '{name}'")


@functools.cache
def names_of_methods() -> frozenset[str]:
    """The methods of everything that is no tensor and no module."""
    return frozenset().union(*_METHODS.values())


def has_method(kind: Any, name: str) -> bool:
    """True where a value of the type (``types.py``) has such a method; of a type that is not one of these, it may."""
    bare = kind if isinstance(kind, str) else kind[0]
    known: dict[str, type] = {
        "str": str, "List": list, "Dict": dict, "Tuple": tuple, "int": int, "float": float, "complex": complex,
    }  # fmt: skip
    if bare in known:
        return name in _METHODS[known[bare]]
    return bare not in ("None", "bool", "Device")
