"""Matrix products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.op import op
from distrt.core.ops.half import wide
from distrt.core.tensor import Tensor

__all__ = [
    "bmm",
    "dot",
    "linear",
    "matmul",
    "mm",
]


@op(dtype="same", autocast="lower", node="Mm")
def _product(input: Array, other: Array) -> Array:
    """The matrix product over the last two dims; the dims in front broadcast."""
    if input.shape[-1] != other.shape[-2]:
        raise ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied ({_sizes(input)} and {_sizes(other)}): "
            f"inner sizes {input.shape[-1]} and {other.shape[-2]} differ"
        )
    if input.dtype.itemsize == 2:  # half precision multiplies in float32 and rounds once
        return np.matmul(input.astype(np.float32), other.astype(np.float32)).astype(input.dtype)
    return np.matmul(input, other)


def _sizes(array: Array) -> str:
    return "x".join(map(str, array.shape))


_product.gradient(
    input=lambda g, other: _product(g, ops.transpose(other, -1, -2)),
    other=lambda g, input: _product(ops.transpose(input, -1, -2), g),
)


def matmul(input: Any, other: Any) -> Any:
    """The matrix product; a 1-D input is a row on the left, a column on the right.

    Shape: (…, n, k) @ (…, k, m) -> (…, n, m).

    Raises:
        ShapeError: where the inner sizes differ.
    """
    if input.ndim == 0 or other.ndim == 0:
        raise ShapeError(
            f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and {other.ndim}D"
        )
    if input.ndim > 1 and other.ndim > 1:
        return _product(input, other)
    if input.ndim == 1 and other.ndim == 1:
        if input.shape != other.shape:
            raise ShapeError(
                f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(other.shape)} to have "
                "the same "
                f"number of elements, but got {input.shape[0]} and {other.shape[0]} elements respectively"
            )
        return ops.reshape(_product(ops.unsqueeze(input, 0), ops.unsqueeze(other, 1)), ())
    if input.ndim == 1:
        return ops.squeeze(_product(ops.unsqueeze(input, 0), other), -2)
    return ops.squeeze(_product(input, ops.unsqueeze(other, 1)), -1)


def _with_dims(name: str, dims: int) -> Callable[[Any, Any], Any]:
    def product(input: Any, other: Any) -> Any:
        if input.ndim != dims or other.ndim != dims:
            raise ShapeError(
                f"{name}: both tensors must be {dims}D, but they are {input.ndim}D and {other.ndim}D"
            )
        return matmul(input, other)

    product.__name__ = name
    product.__doc__ = f"The matrix product of two tensors of exactly {dims} dims."
    return product


mm = _with_dims("mm", 2)
bmm = _with_dims("bmm", 3)
dot = _with_dims("dot", 1)


@op(dtype="same", autocast="lower", node="Addmm")
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``. Shape: (…, in), (out, in), (out) -> (…, out)."""
    if input.shape[-1:] != weight.shape[-1:]:
        raise ShapeError(
            f"linear: mat1 and mat2 shapes cannot be multiplied: input {list(input.shape)} needs a last size of "
            f"{weight.shape[-1]}, for a weight of {list(weight.shape)}"
        )
    if input.dtype.itemsize == 2:
        wide = np.matmul(input.astype(np.float32), weight.astype(np.float32).T)
        return (wide if bias is None else np.add(wide, bias, dtype=np.float32)).astype(input.dtype)
    out = np.matmul(input, weight.T)
    if bias is not None:
        np.add(out, bias, out=out) if out.ndim else None
    return out if bias is None or out.ndim else out + bias


@linear.gradients
def _linear_gradients(g: Any, input: Any, weight: Any, needs: Any, into: Any) -> tuple[Any, ...]:
    """The weight's gradient is written straight into its bucket slot, where it has one."""
    rows = wide(g.reshape(-1, g.shape[-1]))
    g_input = g_weight = g_bias = None
    if needs[0]:
        g_input = np.matmul(wide(g), wide(weight))
    if needs[1]:
        flat = wide(input.reshape(-1, input.shape[-1]))
        slot = None if into is None or g.dtype.itemsize == 2 else into[1]
        g_weight = np.matmul(rows.T, flat, out=slot) if slot is not None else np.matmul(rows.T, flat)
    if needs[2]:
        g_bias = rows.sum(axis=0)
    return g_input, g_weight, g_bias


def _plain_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    product = matmul(input, ops.transpose(weight, 0, 1))
    return product if bias is None else ops.add(product, bias)


linear.composite = _plain_linear
