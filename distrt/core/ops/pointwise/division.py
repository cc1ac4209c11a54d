"""Division that rounds, and what it leaves: floor and truncating quotients, remainders."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.arrays import Array, Scalar, as_array, is_meta, is_on_gpu, require_numbers
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes.promotion import convert, scalar_dtype
from distrt.core.errors import DtypeError
from distrt.core.op import op
from distrt.core.ops.indexing.ranges import require_range
from distrt.core.ops.pointwise.arithmetic import mul, neg, true_divide
from distrt.core.ops.pointwise.comparison import zeros_of
from distrt.core.ops.pointwise.half import no_derivative, refuse
from distrt.core.tensor import Tensor, wrap

__all__ = ["div", "divide", "floor_divide", "fmod", "remainder"]


def _check(operation: str, dividend: Any, divisor: Any) -> None:
    """Integers have no infinity: PyTorch raises where NumPy warns and gives 0.

    Raises:
        NoKernelError: for bools and complex numbers.
        DtypeError: for an integer zero among the divisors.
    """
    refuse(operation, dividend, "bc")
    if getattr(divisor, "dtype", np.dtype(float)).kind not in "iu" or is_meta(divisor):
        return
    said = f"ZeroDivisionError: {operation} of integers by zero"
    if is_on_gpu(divisor):  # it is told where the program waits next
        require_range((divisor != 0).astype(np.int8), 1, 2, said, error=DtypeError)
    elif not np.all(divisor):
        raise DtypeError(said)


@op(dtype="promote", numbers=True)
def floor_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other`` rounded down. Shape: broadcasts."""
    _check("floor_divide", input, other)
    return np.floor_divide(input, other)


floor_divide.gradient(
    input=lambda g: no_derivative("floor_divide"), other=lambda g: no_derivative("floor_divide")
)


@op(dtype="promote", node="Div")
def _floor_quotient(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``floor_divide`` as ``div`` has it, whose result is part of the graph. Shape: broadcasts."""
    _check("div_floor", input, other)
    return np.floor_divide(input, other)


_floor_quotient.gradient(input=lambda g: zeros_of(g), other=lambda g: zeros_of(g))


@op(dtype="promote", node="Div")
def truncate_divide(input: Array | Scalar, other: Array | Scalar) -> Array:
    """``input / other`` rounded towards zero. Shape: broadcasts."""
    _check("div_trunc", input, other)
    if getattr(input, "dtype", np.dtype(float)).kind not in "iu":
        return np.trunc(np.true_divide(input, other))
    quotient = np.floor_divide(input, other)
    below = (np.remainder(input, other) != 0) & ((as_array(input) < 0) != (as_array(other) < 0))
    return np.add(quotient, below.astype(quotient.dtype))


truncate_divide.gradient(input=lambda g: zeros_of(g), other=lambda g: zeros_of(g))


@takes_out
def div(input: Array | Scalar, other: Array | Scalar, *, rounding_mode: str | None = None) -> Any:
    """``input / other``, of tensors or numbers; ``rounding_mode`` may be "floor" or "trunc"."""
    if not isinstance(input, Tensor) and not isinstance(other, Tensor):
        number, other = require_numbers("div", input, other)
        input = wrap(convert(number, scalar_dtype(number)))
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found {rounding_mode!r}"
        )
    return _floor_quotient(input, other) if rounding_mode == "floor" else truncate_divide(input, other)


divide = div


@op(dtype="promote")
def remainder(input: Array | Scalar, other: Array | Scalar) -> Array:
    """The remainder with the sign of ``other``. Shape: broadcasts."""
    _check("remainder", input, other)
    return np.remainder(input, other)


remainder.gradient(
    input=lambda g: g, other=lambda g, input, other: neg(mul(g, _floor_quotient(input, other)))
)


@op(dtype="promote")
def fmod(input: Array, other: Array | Scalar) -> Array:
    """The remainder with the sign of ``input``. Shape: broadcasts."""
    _check("fmod", input, other)
    return np.fmod(input, other)


fmod.gradient(input=lambda g: g, other=lambda g, input, other: neg(mul(g, truncate_divide(input, other))))
