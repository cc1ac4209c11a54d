"""The four operations of arithmetic and what goes with them: copies, conversion, products that are added up."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, as_array, chosen, is_on_gpu, known_or, require_array
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import are_mixed, convert, fitted
from distrt.core.errors import DtypeError
from distrt.core.gpu.places import moved
from distrt.core.kernels.casting import cast, cast_into
from distrt.core.kernels.elements import binary, over
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.pointwise.half import refuse, wide
from distrt.core.tensors import formats

__all__ = [
    "add",
    "addcdiv",
    "addcmul",
    "clone",
    "contiguous",
    "identity",
    "lerp",
    "mul",
    "multiply",
    "neg",
    "negative",
    "positive",
    "rsub",
    "sub",
    "subtract",
    "to_device",
    "to_dtype",
    "true_divide",
]


@op()
def identity(input: Array) -> Array:
    """The same values, as a new place in the graph."""
    return input


identity.gradient(input=lambda g: g)


@op(node="ToCopy", layouts="follows")
def to_dtype(input: Array, dtype: Any) -> Array:
    """The values in another dtype (a NumPy one)."""
    return cast(input, dtype)


@to_dtype.gradients
def _to_dtype_gradients(g: Any, into: Any) -> tuple[Any]:
    """A weight's is converted straight into its bucket slot, where it has one."""
    slot = None if into is None else into[0]
    if slot is None or g.__class__ is not np.ndarray or g.dtype.kind == "c":
        return (g,)
    cast_into(slot, g)
    return (slot,)


@op(node="ToCopy")
def to_device(input: Array, device: Any, origin: Any, non_blocking: bool = False) -> Array:
    """The same elements in the memory of another device; ``origin`` is where they come from, and gradients go back."""
    return moved(input, device, non_blocking)


to_device.gradient(input=lambda g, origin, device: to_device(g, origin, device))


@op()
def clone(input: Array, *, memory_format: formats.memory_format = formats.preserve_format) -> Array:
    """A copy, whose elements stand in memory in the same order of dims, or in that of a format."""
    return formats.arranged(input, memory_format)


clone.gradient(input=lambda g: g)


def contiguous(input: Any) -> Any:
    """The tensor itself where its elements stand in row-major order, else a copy in that order."""
    array = getattr(input, "_array", input)
    return input if array.flags.c_contiguous else clone(input, memory_format=formats.contiguous_format)


@op()
def neg(input: Array) -> Array:
    """``-input``."""
    if input.dtype == np.bool_:
        raise DtypeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` or `logical_not()` operator instead."
        )
    return np.negative(input)


neg.gradient(input=lambda g: neg(g))
negative = neg


def positive(input: Any) -> Any:
    """The tensor itself, which must not be of bools."""
    if getattr(input, "_array", input).dtype == np.bool_:
        raise DtypeError("The `+` operator, on a bool tensor is not supported.")
    return input


@op(dtype="promote", layouts="follows", numbers=True)
def mul(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input * other``. Shape: broadcasts."""
    return binary(np.multiply, input, other)


mul.gradient(input=lambda g, other: mul(g, other), other=lambda g, input: mul(g, input))
mul.overwriting = lambda input, other: over(np.multiply, input, other)
multiply = mul


@op(dtype="sum", layouts="follows", numbers=True)
def add(input: Array | Scalar, other: Array | Scalar, *, alpha: Scalar = 1) -> Array:
    """``input + alpha * other``. Shape: broadcasts."""
    return binary(np.add, input, _times_alpha(input, other, alpha))


_ONE = 1


def _times_alpha(input: Any, other: Any, alpha: Scalar) -> Any:
    if alpha is _ONE:
        return other
    if used.gpu and are_mixed(input, other):
        other = convert(other, dt.float32.numpy)
    return _scaled(input, other, alpha)


def _scaled(input: Any, other: Any, alpha: Scalar) -> Array:
    other = as_array(other) if hasattr(other, "dtype") else convert(other, input.dtype)
    if isinstance(alpha, bool) and other.dtype != np.bool_:
        raise DtypeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and other.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError("For integral input tensors, argument alpha must not be a floating point number.")
    if isinstance(alpha, complex) and other.dtype.kind != "c":
        raise DtypeError("For non-complex input tensors, argument alpha must not be a complex number.")
    return np.multiply(other, fitted(alpha, other.dtype)[()])


add.gradient(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else mul(g, alpha))
add.overwriting = lambda input, other, alpha: over(np.add, input, _times_alpha(input, other, alpha))


@op(dtype="difference", layouts="follows", numbers=True)
def sub(input: Array | Scalar, other: Array | Scalar, *, alpha: Scalar = 1) -> Array:
    """``input - alpha * other``. Shape: broadcasts."""
    if getattr(input, "dtype", None) == np.bool_:
        raise DtypeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    return binary(np.subtract, input, _times_alpha(input, other, alpha))


sub.node(lambda node: "Rsub1" if node.metas[0] is None else "Sub")
sub.gradient(input=lambda g: g, other=lambda g, alpha: neg(g) if alpha == 1 else mul(g, -alpha))
sub.overwriting = lambda input, other, alpha: over(np.subtract, input, _times_alpha(input, other, alpha))
subtract = sub


def rsub(input: Any, other: Any, *, alpha: Scalar = 1) -> Any:
    """``other - alpha * input``."""
    require_array("rsub", "input", getattr(input, "_array", input))
    return sub(other, input, alpha=alpha)


@op(dtype="float", node="Div", layouts="follows", numbers=True)
def true_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other``; integers divide to the default floating dtype. Shape: broadcasts."""
    return binary(np.true_divide, input, other)


true_divide.gradient(
    input=lambda g, other: true_divide(g, other),
    other=lambda g, input, other: neg(true_divide(mul(g, input), mul(other, other))),
)
true_divide.overwriting = lambda input, other: over(np.true_divide, input, other)


@op(dtype="promote")
def addcmul(input: Array, tensor1: Array, tensor2: Array, *, value: Scalar = 1) -> Array:
    """``input + value * tensor1 * tensor2``. Shape: broadcasts."""
    refuse("addcmul", input, "b")
    wider = wide(tensor1)
    product = np.multiply(wider, tensor2, dtype=wider.dtype)
    if value != 1:
        product = np.multiply(product, convert(value, wider.dtype)[()])
    return np.add(input, product, dtype=wider.dtype).astype(input.dtype, copy=False)


addcmul.gradient(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: mul(g, _times(tensor2, value)),
    tensor2=lambda g, tensor1, value: mul(g, _times(tensor1, value)),
)


def _times(factor: Any, value: Scalar) -> Any:
    return factor if value == 1 else mul(factor, value)


@op(dtype="quotient")
def addcdiv(input: Array, tensor1: Array, tensor2: Array, *, value: Scalar = 1) -> Array:
    """``input + value * tensor1 / tensor2``. Shape: broadcasts.

    Raises:
        DtypeError: where both parts of the quotient are integers.
    """
    if input.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError(
            "Integer division with addcdiv is no longer supported: convert tensor1 or tensor2 to a floating dtype"
        )
    wider = wide(tensor1)
    scaled = wider if value == 1 else np.multiply(wider, convert(value, wider.dtype)[()])
    quotient = np.true_divide(scaled, tensor2, dtype=wider.dtype)
    return np.add(input, quotient, dtype=wider.dtype).astype(input.dtype, copy=False)


addcdiv.gradient(
    input=lambda g: g,
    tensor1=lambda g, tensor2, value: true_divide(_times(g, value), tensor2),
    tensor2=lambda g, tensor1, tensor2, value: neg(
        true_divide(mul(_times(g, value), tensor1), mul(tensor2, tensor2))
    ),
)


@op()
def lerp(input: Array, end: Array, weight: Array | Scalar) -> Array:
    """``input + weight * (end - input)``: from ``input`` at weight 0 to ``end`` at 1. Shape: broadcasts.

    Raises:
        DtypeError: where the dtypes of the tensors differ.
    """
    require_array("lerp", "input", input)
    require_array("lerp", "end", end)
    refuse("lerp", input, "biu")
    tensors: tuple[tuple[str, Any], ...] = (("end", end), ("weight", weight))
    for name, given in tensors:
        if hasattr(given, "dtype") and given.dtype != input.dtype and (given.ndim or name == "end"):
            raise DtypeError(f"expected dtype {input.dtype} for `{name}` but got dtype {given.dtype}")
    start, stop = wide(input), wide(end)
    share: Any = (
        start.dtype.type(weight)
        if isinstance(weight, bool | int | float | complex)
        else weight.astype(start.dtype)
    )
    span = np.subtract(stop, start)
    if share.ndim or is_on_gpu(share):
        near = np.add(start, np.multiply(share, span))
        far = np.subtract(stop, np.multiply(span, np.subtract(1, share, dtype=share.dtype)))
        moved = chosen(np.abs(share) < 0.5, near, far)
    elif known_or(
        abs(share) < 0.5, True
    ):  # counted from the nearer end, so that weight 1 gives ``end`` exactly
        moved = np.add(start, np.multiply(share, span))
    else:
        moved = np.subtract(stop, np.multiply(span, np.subtract(1, share, dtype=share.dtype)))
    return as_array(moved).astype(input.dtype, copy=False)


lerp.gradient(
    input=lambda g, weight: mul(g, 1 - weight),
    end=lambda g, weight: mul(g, weight),
    weight=lambda g, input, end: mul(g, sub(end, input)),
)
