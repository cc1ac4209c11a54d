"""The sparse forms of operations, by the operation's name and by the name that users call.

Each takes the arguments of the dense one, under the same names. They are composed of ``core/sparse/operations.py`` and
of operations on dense tensors, so every one of them can be differentiated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.sparse import indexing, products, reductions, shapes
from distrt.core.sparse.array import LayoutFault, is_sparse
from distrt.core.sparse.compressed import Compressed
from distrt.core.sparse.operations import at_places, coalesce, values_at, values_of
from distrt.core.tensor import Tensor

__all__ = ["FUNCTIONS", "OPERATIONS"]


def on_values(function: Callable[..., Any], input: Tensor, *args: Any, **options: Any) -> Any:
    """A sparse tensor whose values are those of another one after ``function``, which leaves 0 as it is."""
    return at_places(function(values_of(input), *args, **options), input._array)


def _elementwise(name: str) -> Callable[..., Any]:
    function = getattr(ops, name)

    def form(input: Tensor, **options: Any) -> Any:
        return on_values(function, coalesce(input), **options)

    return form


def _linear(name: str) -> Callable[..., Any]:
    function = getattr(ops, name)

    def form(input: Tensor, **options: Any) -> Any:
        return on_values(function, input, **options)

    return form


def _is_number(value: Any) -> bool:
    return not isinstance(value, Tensor) or (not is_sparse(value._array) and value._array.ndim == 0)


def _sum(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``: of two sparse tensors, or a dense and a sparse one."""
    if not (isinstance(other, Tensor) and is_sparse(other._array)):
        if isinstance(input._array, Compressed) and isinstance(other, Tensor):
            return ops.add(other if alpha == 1 else ops.mul(other, alpha), input)
        raise ShapeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    return ops.add(input, other if alpha == 1 else ops.mul(other, alpha))


def _difference(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    return _sum(input, other, alpha=-alpha)


def _product(input: Any, other: Any) -> Any:
    """Element by element: with a number, a dense tensor (at whose places nothing is added) or a sparse one."""
    if _is_number(other):
        return on_values(ops.mul, input, other)
    if _is_number(input):
        return on_values(ops.mul, other, input)
    if not is_sparse(input._array):
        input, other = other, input
    if input.shape != other.shape:
        if is_sparse(other._array):
            raise ShapeError(
                f"mul: expected 'self' and 'other' to have same sizes, but {list(input.shape)} != {list(other.shape)}"
            )
        other = ops.expand(other, tuple(input.shape))
    if not is_sparse(other._array):
        return on_values(ops.mul, input, values_at(other, input._array))
    first, second = coalesce(input), coalesce(other)
    return _on_both(first, second)


def _on_both(first: Tensor, second: Tensor) -> Any:
    """The product of two coalesced tensors: only what both give is not 0."""
    if first._array.layout is not second._array.layout:
        raise LayoutFault(f"mul: {first.layout} and {second.layout} do not go together")
    common = first._array.common(second._array)
    return at_places(ops.mul(values_at(first, common), values_at(second, common)), common)


def _quotient(input: Any, other: Any, rounding_mode: str | None = None) -> Any:
    if not isinstance(input, Tensor) or not is_sparse(input._array) or not _is_number(other):
        raise ShapeError(
            "Sparse division requires a scalar or zero-dim dense tensor divisor (got shape "
            f"{list(getattr(other, 'shape', ()))} for divisor)"
        )
    if rounding_mode is not None:
        input = coalesce(input)
    return on_values(ops.div, input, other, rounding_mode=rounding_mode)


def _floor_quotient(input: Any, other: Any) -> Any:
    return _quotient(input, other, "floor")


def _power(input: Any, exponent: Any) -> Any:
    if not _is_number(exponent) or not is_sparse(getattr(input, "_array", None)):
        raise LayoutFault("pow: of sparse tensors, the exponent is a number")
    if float(exponent) == 0:
        raise ShapeError("pow: sparse tensors have no zeroth power: it would not be sparse")
    return on_values(ops.pow, coalesce(input), exponent)


def _reshape(input: Any, *args: Any, **options: Any) -> Any:
    raise ShapeError("reshape is not implemented for sparse tensors")


#: Functions that leave 0 as it is, of the sum of the values at a place.
_ZERO_TO_ZERO = (
    "abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor frac isinf isnan isneginf isposinf log1p "
    "nan_to_num rad2deg relu round sgn sign signbit sin sinh sqrt square tan tanh trunc"
)

#: Those that may as well be applied to each value at a place.
_OF_EACH_VALUE = "neg to_dtype identity"

#: By the names of operations (`distrt.core.op.REGISTRY`).
OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: _elementwise(name) for name in _ZERO_TO_ZERO.split()},
    **{name: _linear(name) for name in _OF_EACH_VALUE.split()},
    "add": _sum,
    "any": reductions.any,
    "cat": shapes.cat,
    "floor_divide": _floor_quotient,
    "index_select": indexing.index_select,
    "linear": products.linear,
    "_matrix_vector": products.mv,
    "mul": _product,
    "permute": shapes.permute,
    "pow": _power,
    "_product": products.matmul,
    "stack": shapes.stack,
    "sub": _difference,
    "sum": reductions.sum,
    "transpose": shapes.transpose,
    "true_divide": _quotient,
    "unsqueeze": shapes.unsqueeze,
}

#: By the names that users call, where these are composed of operations.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "addmm": products.addmm,
    "addmv": products.addmv,
    "conj_physical": _elementwise("conj_physical"),
    "div": _quotient,
    "divide": _quotient,
    "flatten": _reshape,
    "get_item": indexing.index,
    "matmul": products.matmul,
    "mm": products.mm,
    "mv": products.mv,
    "narrow": indexing.narrow,
    "narrow_copy": indexing.narrow,
    "norm": reductions.norm,
    "permute": shapes.permute,
    "reshape": _reshape,
    "select": indexing.select,
    "t": shapes.t,
    "unbind": indexing.unbind,
}
