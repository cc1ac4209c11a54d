"""Binds the operations to ``Tensor``: methods, operators, conversions, indexing and in-place forms.

Imported once by ``distrt/__init__`` before any tensor is handed out. An op that is a method under its own name is one
entry of ``METHODS``; what takes sizes as separate arguments or changes its tensor is written out below.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrt.core import creation, ops, unsupported
from distrt.core.definitions import in_place
from distrt.core.definitions.wording import worded
from distrt.core.device import device
from distrt.core.dtypes.dtype import dtype
from distrt.core.overriding import doors
from distrt.core.overriding.dispatch import PLAIN
from distrt.core.sparse.methods import METHODS as OF_SPARSE
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import conversion, moving
from distrt.core.tensors.formats import layout, memory_format
from distrt.core.tensors.names import METHODS, listed
from distrt.core.tensors.size import Size
from distrt.core.tensors.transposed import PROPERTIES

OPERATORS: dict[str, Callable[..., Any]] = {
    "__add__": ops.add,
    "__radd__": ops.add,
    "__sub__": ops.sub,
    "__mul__": ops.mul,
    "__rmul__": ops.mul,
    "__truediv__": ops.true_divide,
    "__floordiv__": ops.floor_divide,
    "__mod__": ops.remainder,
    "__pow__": ops.pow,
    "__matmul__": ops.matmul,
    "__and__": ops.bitwise_and,
    "__rand__": ops.bitwise_and,
    "__or__": ops.bitwise_or,
    "__ror__": ops.bitwise_or,
    "__xor__": ops.bitwise_xor,
    "__rxor__": ops.bitwise_xor,
    "__lshift__": ops.bitwise_left_shift,
    "__rshift__": ops.bitwise_right_shift,
    "__eq__": ops.eq,
    "__ne__": ops.ne,
    "__lt__": ops.lt,
    "__le__": ops.le,
    "__gt__": ops.gt,
    "__ge__": ops.ge,
}
REFLECTED: dict[str, Callable[..., Any]] = {
    "__rdiv__": ops.true_divide,
    "__rsub__": ops.sub,
    "__rtruediv__": ops.true_divide,
    "__rfloordiv__": ops.floor_divide,
    "__rmod__": ops.remainder,
    "__rpow__": ops.pow,
    "__rmatmul__": ops.matmul,
    "__rlshift__": ops.bitwise_left_shift,
    "__rrshift__": ops.bitwise_right_shift,
}


_USUAL_OPERANDS = frozenset((Tensor, float, int))


def _binary(function: Callable[..., Any], name: str, reflected: bool = False) -> Callable[[Any, Any], Any]:
    """An operator that lets Python try the other side where the other operand is no number and no tensor."""

    def operator(self: Tensor, other: Any) -> Any:
        if other.__class__ in _USUAL_OPERANDS:
            return function(other, self) if reflected else function(self, other)
        if not isinstance(other, Tensor | int | float | complex | np.ndarray | np.generic):
            return operator(self, other) if doors.is_first_sight((other,)) else NotImplemented
        if isinstance(other, np.ndarray):
            other = wrap(other)
        return function(other, self) if reflected else function(self, other)

    operator.__name__ = operator.__qualname__ = name
    return operator


#: What classes that take functions over are told of an operator, where that is not its own name. As in PyTorch.
_OFFERED_AS = {
    **{f"__{name}__": name for name in ("add", "sub", "mul", "matmul", "ne", "lt", "le", "gt", "ge")},
    **{f"__r{name}__": name for name in ("add", "mul", "matmul")},
    **{f"__r{name}__": f"bitwise_{name}" for name in ("and", "or", "xor")},
    **{name: plain for name, plain in in_place.AUGMENTED.items() if not plain.startswith("bitwise_")},
    **{"__truediv__": "div", "__rtruediv__": "__rdiv__", "__itruediv__": "div_", "__mod__": "remainder"},
    **{"__neg__": "neg", "__pos__": "positive", "__abs__": "abs"},
}

#: Methods that no class takes over: they make a subclass's tensors, or are made for Python itself.
_NOT_OFFERED = frozenset("as_subclass storage untyped_storage".split())
_OFFERED_SPECIAL = frozenset(
    "__array__ __bool__ __complex__ __contains__ __dlpack__ __dlpack_device__ __float__ __format__ __getitem__ "
    "__index__ __int__ __len__ __repr__ __reversed__ __setitem__ __neg__ __abs__ __pos__ __invert__".split()
)
_TENSOR_VIEWS = frozenset("H T data imag mH mT real".split())


def _is_ours(function: Any) -> bool:
    return isinstance(function, types.FunctionType) and function.__module__.startswith("distrt.core.")


def _offer() -> None:
    """Opens methods, operators and attributes to classes that take functions over."""
    PLAIN.update((Size, dtype, device, layout, memory_format))
    operators = {*OPERATORS, *REFLECTED, *in_place.AUGMENTED}
    noted = set()
    for name in sorted(dir(Tensor), key=lambda name: name.startswith("_")):
        function = inspect.getattr_static(Tensor, name)
        if name in _NOT_OFFERED or id(function) in noted:
            continue
        if isinstance(function, property) and not name.startswith("_"):
            doors.public_attribute(function, gives_tensors=name in _TENSOR_VIEWS)
            continue
        if getattr(Tensor, getattr(function, "__name__", ""), None) is not function and _is_ours(function):
            function.__name__, function.__qualname__ = name, f"Tensor.{name}"
        offered = getattr(Tensor, _OFFERED_AS[name]) if name in _OFFERED_AS else function
        if name in operators:
            doors.public(function, offered=offered, is_operator=True)
        elif not name.startswith("_") or name in _OFFERED_SPECIAL:
            doors.public(function, offered=offered)
        noted.add(id(function))


def _polygamma(self: Tensor, n: int) -> Tensor:
    return ops.polygamma(n, self)  # type: ignore[no-any-return]


def _split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    return ops.split(self, split_size, dim)


def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    return ops.where(condition, self, other)  # type: ignore[no-any-return]


# Indexing


def _get_item(self: Tensor, key: Any) -> Tensor:
    return ops.index(self, key)  # type: ignore[no-any-return]


WRITTEN_OUT: dict[str, Any] = {
    "__getitem__": _get_item,
    "__neg__": ops.neg,
    "__abs__": ops.abs,
    "__pos__": ops.positive,
    "__invert__": ops.invert,
    "polygamma": _polygamma,
    "polygamma_": in_place.in_place(_polygamma, "polygamma_"),
    "split": _split,
    "where": _where,
}


def _method(function: Any) -> Any:
    definition = getattr(function, "definition", None)
    return worded(function, is_method=True) if definition is None else definition.for_methods()


def bind() -> None:
    """Puts every method on ``Tensor``."""
    for name in listed(METHODS):
        setattr(Tensor, name, _method(getattr(ops, name)))
    for name, function in OPERATORS.items():
        setattr(Tensor, name, _binary(function, name))
    for name, function in REFLECTED.items():
        setattr(Tensor, name, _binary(function, name, reflected=True))
    for name, function in {
        **unsupported.methods(),
        **conversion.METHODS,
        **moving.METHODS,
        **creation.METHODS,
        **OF_SPARSE,
        **WRITTEN_OUT,
    }.items():
        setattr(Tensor, name, _method(function))
    in_place.bind()
    for name, view in PROPERTIES.items():
        setattr(Tensor, name, view)
    Tensor.__hash__ = object.__hash__  # type: ignore[assignment, method-assign]  # __eq__ compares elements
    _offer()


bind()
