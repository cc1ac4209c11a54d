"""Matrix products: ``matmul`` and the products of tensors of one given number of dims."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, is_on_gpu, require_array
from distrt.core.autocast import autocasts, lowered
from distrt.core.definitions.out import takes_out, write_out
from distrt.core.errors import DtypeError, ShapeError, UnsupportedError
from distrt.core.kernels import on_gpu
from distrt.core.kernels.onednn.product import LEAST, LEAST_OF_HALF, product
from distrt.core.modes import modes, used
from distrt.core.op import op
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.pointwise.type_names import c_type, scalar_type

__all__ = [
    "bmm",
    "dot",
    "matmul",
    "mm",
    "mv",
    "vdot",
]


@op(autocast="lower", node="Mm")
def _product(input: Array, other: Array) -> Array:
    """The matrix product over the last two dims; the dims in front broadcast."""
    if input.dtype is not other.dtype and input.dtype != other.dtype:
        raise DtypeError(
            f"expected m1 and m2 to have the same dtype, but got: {c_type(input)} != {c_type(other)}"
        )
    if input.shape[-1] != other.shape[-2]:
        raise ShapeError(_clash(input, other))
    if input.ndim > 2 and other.ndim > 2 and input.shape[:-2] != other.shape[:-2]:
        require_broadcast(input.shape[:-2], other.shape[:-2])
    if input.dtype.kind == "b":
        require_product("matmul", input)
    return multiplied(input, other)


_PRODUCTS: dict[Any, str] = {(2, 2): "Mm", (3, 3): "Bmm"}
_product.node(lambda node: _PRODUCTS.get((node.ndim_of("input"), node.ndim_of("other")), "UnsafeView"))


def multiplied(
    left: Array, right: Array, bias: Array | None = None, dtype: Any = None, out: Array | None = None
) -> Array:
    """``left @ right + bias``; half precision is summed up in float32, and rounded once, to ``dtype`` where given.

    By oneDNN, where that is the fastest: see ``core/kernels/onednn/product.py``. ``out`` is for full precision.
    """
    is_half = left.dtype.itemsize == 2 and left.dtype.kind in "fV"
    if used.gpu and is_on_gpu(left):
        made = on_gpu.products.product(left, right, bias, dtype, out)
        if made is not None:
            return made
    elif left.size * right.shape[-1] >= (LEAST_OF_HALF if is_half else LEAST):
        made = product(left, right, bias, dtype, out)
        if made is not None:
            return made
    if is_half:
        total = multiplied(wide(left), wide(right))
        kind = left.dtype if dtype is None else dtype
        return rounded(total if bias is None else np.add(total, bias, dtype=np.float32), kind)
    total = np.matmul(left, right) if out is None else np.matmul(left, right, out=out)
    if bias is None:
        return total
    return np.add(total, bias, out=total) if total.ndim else total + bias


def require_broadcast(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """Raises ShapeError where the two do not broadcast: the batch dims of a product."""
    rank = max(len(left), len(right))
    for dim in reversed(range(rank)):
        a, b = (shape[dim - rank + len(shape)] if dim >= rank - len(shape) else 1 for shape in (left, right))
        if a != b and 1 not in (a, b):
            raise ShapeError(
                f"The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {dim}"
            )


def require_product(name: str, array: Array) -> None:
    """Raises UnsupportedError for bool, which PyTorch does not multiply either (NumPy would)."""
    if array.dtype == np.bool_:
        raise UnsupportedError(f"\"{name}\" not implemented for 'Bool': convert with .to(distrt.int64), say")


def _clash(input: Array, other: Array) -> str:
    if input.ndim == other.ndim == 2:
        return f"mat1 and mat2 shapes cannot be multiplied ({sizes(input)} and {sizes(other)})"
    return (
        f"Expected size for first two dimensions of batch2 tensor to be: {[other.shape[0], input.shape[-1]]} but "
        f"got: {list(other.shape[:2])}."
        if input.ndim == other.ndim == 3
        else f"mat1 and mat2 shapes cannot be multiplied ({sizes(input)} and {sizes(other)}): inner sizes "
        f"{input.shape[-1]} and {other.shape[-2]} differ"
    )


def sizes(array: Any) -> str:
    """A shape as error messages of matrix products write it: ``2x3``."""
    return "x".join(map(str, array.shape))


_product.gradient(
    input=lambda g, other, input_strides: laid_out_as(input_strides, g, _turned(other)),
    other=lambda g, input, other_strides: laid_out_as(other_strides, _turned(input), g),
)


def laid_out_as(strides: tuple[int, ...], left: Any, right: Any) -> Any:
    """``left @ right``, by columns in memory where ``strides`` are a transposed matrix's: so PyTorch's gradients lie.

    The gradient of a layer's weight, which enters the product transposed, is then contiguous after turning it back.
    """
    if len(strides) == 2 and strides[0] < strides[1]:
        return _turned(_product(_turned(right), _turned(left)))
    return _product(left, right)


def _turned(input: Any) -> Any:
    return ops.transpose(input, -1, -2)


@op(autocast="lower", node="Mv")
def _matrix_vector(input: Array, vec: Array) -> Array:
    """The product of a matrix, of the rows of all leading dims, and a vector."""
    if input.dtype != vec.dtype:
        raise DtypeError(
            f"expected m1 and m2 to have the same dtype, but got: {c_type(input)} != {c_type(vec)}"
        )
    if input.shape[-1] != vec.shape[0]:
        raise ShapeError(
            f"size mismatch, got input ({input.shape[-2]}), mat ({sizes(input)}), vec ({vec.shape[0]})"
        )
    require_product("matmul", input)
    return in_rows(input, vec[:, None])[..., 0]


_matrix_vector.node(lambda node: "Mv" if node.ndim_of("input") in (2, None) else "UnsafeView")
_matrix_vector.gradient(
    input=lambda g, vec: ops.mul(ops.unsqueeze(g, -1), vec),
    vec=lambda g, input: _matrix_vector(
        _turned(ops.reshape(input, (*rows_of(input), input.shape[-1]))), ops.reshape(g, (-1,))
    ),
)


@op(dtype="keep")
def _dot(input: Array, tensor: Array) -> Array:
    """The sum of the products of two vectors."""
    if input.dtype != tensor.dtype:
        raise DtypeError(
            f"dot : expected both vectors to have same dtype, but found {scalar_type(input)} and {scalar_type(tensor)}"
        )
    if input.shape != tensor.shape:
        raise ShapeError(
            f"inconsistent tensor size, expected tensor {list(input.shape)} and src {list(tensor.shape)} to have the "
            f"same number of elements, but got {input.shape[0]} and {tensor.shape[0]} elements respectively"
        )
    require_product("dot", input)
    return as_array(np.dot(wide(input), wide(tensor))).astype(input.dtype, copy=False)


_dot.gradient(
    input=lambda g, tensor: ops.mul(g, tensor),
    tensor=lambda g, input: ops.mul(g, input),
)


def matmul(input: Any, other: Any, *, out: Any = None) -> Any:
    """The matrix product; a 1-D input is a row on the left, a column on the right.

    Shape: (…, n, k) @ (…, k, m) -> (…, n, m).

    Raises:
        ShapeError: where the inner sizes differ.
    """
    if out is not None:
        return write_out("matmul", matmul(input, other), out)
    try:
        left, right = input.ndim, other.ndim
    except AttributeError:
        require_array("matmul", "input", input)
        require_array("matmul", "other", other)
        raise
    if left > 1 and right > 1:
        return _product(input, other)
    return _vector_product(input, other)


def _vector_product(input: Any, other: Any) -> Any:
    """The product where one of the two is a vector."""
    if input.ndim == 0 or other.ndim == 0:
        raise ShapeError(
            f"both arguments to matmul need to be at least 1D, but they are {input.ndim}D and {other.ndim}D"
        )
    if input.ndim == 1 and other.ndim == 1:
        if modes.autocast is not None:  # ``dot`` itself takes its vectors as they come
            input, other = lowered(input), lowered(other)
        return _dot(input, other)
    if input.ndim == 1:
        return ops.squeeze(_product(ops.unsqueeze(input, 0), other), -2)
    return _matrix_vector(input, other)


@takes_out
def mm(input: Any, mat2: Any) -> Any:
    """The matrix product of two matrices. Shape: (n, k), (k, m) -> (n, m)."""
    require_dims("mm", ("self", input, 2), ("mat2", mat2, 2))
    return _product(input, mat2)


@takes_out
def bmm(input: Any, mat2: Any) -> Any:
    """The matrix products of two batches of matrices. Shape: (b, n, k), (b, k, m) -> (b, n, m)."""
    require_dims("bmm", ("batch1", input, 3), ("batch2", mat2, 3))
    if input.shape[0] != mat2.shape[0]:
        raise ShapeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"{[input.shape[0], input.shape[2]]} but got: {list(mat2.shape[:2])}."
        )
    return _product(input, mat2)


@autocasts("none")
@takes_out
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector. Shape: (n, k), (k) -> (n)."""
    require_array("mv", "input", input)
    require_array("mv", "vec", vec)
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    return matmul(input, vec)


@takes_out
def dot(input: Any, tensor: Any) -> Any:
    """The sum of the products of two vectors. Shape: (n), (n) -> ()."""
    _require_vectors("dot", input, tensor)
    return _dot(input, tensor)


@takes_out
def vdot(input: Any, other: Any) -> Any:
    """As :func:`dot`, with the first vector conjugated. Shape: (n), (n) -> ()."""
    _require_vectors("vdot", input, other)
    return _dot(ops.conj(input) if input.is_complex() else input, other)


def _require_vectors(name: str, input: Any, other: Any) -> None:
    require_array(name, "input", input)
    require_array(name, "tensor" if name == "dot" else "other", other)
    if input.ndim != 1 or other.ndim != 1:
        raise ShapeError(f"1D tensors expected, but got {input.ndim}D and {other.ndim}D tensors")


def require_dims(name: str, *arguments: tuple[str, Any, int]) -> None:
    """Raises ShapeError for an argument (its name, itself, its number of dims) that has another number of dims."""
    for label, value, dims in arguments:
        require_array(name, label, value)
        if value.ndim != dims:
            kind = {1: "a vector", 2: "a matrix", 3: "a 3D tensor"}[dims]
            raise ShapeError(f"{name}: {label} must be {kind}, but it is {value.ndim}D")


def expanded(input: Array, shape: tuple[int, ...]) -> Array:
    """What is added to a product, repeated to the product's shape.

    Raises:
        ShapeError: where it does not fit.
    """
    extra = len(shape) - input.ndim
    if extra < 0:
        raise ShapeError(
            f"expand({scalar_type(input)}{{{list(input.shape)}}}, size={list(shape)}): the number of sizes provided "
            f"({len(shape)}) must be greater or equal to the number of dimensions in the tensor ({input.ndim})"
        )
    for dim in reversed(range(input.ndim)):
        if input.shape[dim] not in (1, shape[extra + dim]):
            raise ShapeError(
                f"The expanded size of the tensor ({shape[extra + dim]}) must match the existing size "
                f"({input.shape[dim]}) at non-singleton dimension {extra + dim}.  Target sizes: {list(shape)}.  "
                f"Tensor sizes: {list(input.shape)}"
            )
    return np.broadcast_to(input, shape)


def in_rows(input: Array, matrix: Array, bias: Array | None = None) -> Array:
    """``input @ matrix + bias``, of all leading dims as one matrix: to copy its rows is less than many products."""
    if input.ndim < 3 or matrix.ndim != 2:
        return multiplied(input, matrix, bias)
    rows = input.reshape(*rows_of(input), input.shape[-1])
    return multiplied(rows, matrix, bias).reshape(*input.shape[:-1], matrix.shape[1])


def rows_of(input: Array) -> tuple[int, ...]:
    """The rows of a matrix that all dims but the last make up; none for a vector."""
    return (math.prod(input.shape[:-1]),) if input.ndim > 1 else ()
