"""``linear``: a layer's product with its weight, transposed, and its bias, with one rule for all three."""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.kernels import on_gpu
from distrt.core.modes import used
from distrt.core.op import op
from distrt.core.ops.linalg.matrix import (
    expanded,
    in_rows,
    laid_out_as,
    matmul,
    multiplied,
    require_product,
    rows_of,
    sizes,
)
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.type_names import c_type, scalar_type
from distrt.core.tensor import Tensor

__all__ = ["linear"]


@op(autocast="lower", node="Addmm")
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``. Shape: (…, in), (out, in), (out) -> (…, out)."""
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not weight.dtype):
        _require_one_dtype(input, weight, bias)
    if input.shape[-1:] != weight.shape[-1:] or not 0 < weight.ndim < 3 or not input.ndim:
        _refuse_linear(input, weight)
    if bias is not None and weight.ndim == 1:
        raise ShapeError("mat2 must be a matrix, got 1-D tensor")
    if bias is not None and bias.shape not in (weight.shape[:1], (), (1,)):
        expanded(bias, (*rows_of(input), *weight.shape[:-1]))
    if input.dtype.kind == "b":
        require_product("addmm_impl_cpu_", input)
    return in_rows(input, weight.T, bias)


@linear.node
def _name_of_linear(node: Any) -> str:
    """PyTorch makes rows of leading dims, and gives the result its shape back."""
    has_bias = node.metas[2] is not None
    if node.ndim_of("input") in (2, None):  # a bias alone tells no dims
        return "Addmm" if has_bias else "Mm"
    return "View" if has_bias else "UnsafeView"


#: PyTorch adds the product to the bias, which comes first.
linear.definition.shown = lambda node: (0, 1) if node.metas[2] is None else (2, 0, 1)


def _require_one_dtype(input: Array, weight: Array, bias: Array | None) -> None:
    if input.dtype != weight.dtype:
        if bias is None:
            raise DtypeError(
                f"expected m1 and m2 to have the same dtype, but got: {c_type(input)} != {c_type(weight)}"
            )
        raise DtypeError(
            f"mat1 and mat2 must have the same dtype, but got {scalar_type(input)} and {scalar_type(weight)}"
        )
    if bias is not None and bias.dtype != weight.dtype:
        raise DtypeError(
            f"self and mat2 must have the same dtype, but got {scalar_type(bias)} and {scalar_type(weight)}"
        )


def _refuse_linear(input: Array, weight: Array) -> None:
    if input.ndim == 0 or weight.ndim == 0:
        raise ShapeError(
            f"both arguments to linear need to be at least 1D, but they are {input.ndim}D and {weight.ndim}D"
        )
    if weight.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D")
    if weight.ndim == 1:
        raise ShapeError(f"size mismatch, got input ({sizes(input)}), vec ({weight.shape[0]})")
    rows = (rows_of(input) or (1,))[0]
    raise ShapeError(
        f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
        f"{weight.shape[1]}x{weight.shape[0]})"
    )


@linear.gradients
def _linear_gradients(
    g: Any,
    input: Any,
    weight: Any,
    input_meta: Any,
    weight_meta: Any,
    weight_strides: Any,
    needs: Any,
    into: Any,
) -> tuple[Any, ...]:
    """The weight's gradient is written straight into its bucket slot, where it has one."""
    shape = weight_meta.shape
    if len(shape) == 1:
        g, weight, into = g[..., None], None if weight is None else weight[None], None
    count = math.prod(g.shape[:-1])
    rows = g.reshape(count, g.shape[-1])
    g_input = g_weight = g_bias = None
    if needs[0]:
        g_input = in_rows(g, weight)
    if needs[1]:
        flat = input.reshape(count, input.shape[-1])
        slot = None if into is None or g.dtype.itemsize == 2 else into[1]
        both = None
        if (
            used.gpu
            and needs[2]
            and is_on_gpu(rows)
            and len(shape) == 2
            and weight_strides[0] >= weight_strides[1]
        ):
            both = on_gpu.epilogues.weight_slopes(rows, flat, slot)
        if both is not None:
            g_weight, g_bias = both
        elif slot is not None:
            g_weight = multiplied(rows.T, flat, out=slot)
        else:
            g_weight = laid_out_as(weight_strides, rows.T, flat).reshape(shape)
    if needs[2] and g_bias is None:
        g_bias = wide(rows).sum(axis=0)
    return g_input, g_weight, g_bias


def _plain_linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
    product = matmul(input, ops.transpose(weight, 0, 1) if weight.ndim == 2 else weight)
    return product if bias is None else ops.add(product, bias)


linear.composite = _plain_linear
linear.definition.delivers_last_first = True  # PyTorch's weight waits for its transpose: the bias comes first
linear.needs_of_gradients = {"input": ("weight",), "weight": ("input",)}
