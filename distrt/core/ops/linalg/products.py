"""Products built on the matrix product: sums with a product, outer and tensor products, cross products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, Scalar, is_on_gpu, number_in, require_array
from distrt.core.autocast import as_it_comes, autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DimensionError, DtypeError, ShapeError
from distrt.core.modes import modes, used
from distrt.core.op import op
from distrt.core.ops.linalg.matrices import matrix_diagonal
from distrt.core.ops.linalg.matrix import expanded, multiplied, require_dims, require_product, sizes
from distrt.core.ops.pointwise.half import rounded, wide
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.shapes.dims import all_dims, one_dim
from distrt.core.tensor import Tensor

__all__ = [
    "addbmm",
    "addmm",
    "addmv",
    "addr",
    "baddbmm",
    "cross",
    "ger",
    "inner",
    "kron",
    "linalg_cross",
    "linalg_vecdot",
    "outer",
    "tensordot",
    "trace",
]


# beta * input + alpha * product


@op(autocast="lower", node="Addmm")
def _add_product(input: Array, mat1: Array, mat2: Array, beta: Scalar, alpha: Scalar) -> Array:
    """``beta * input + alpha * (mat1 @ mat2)``, rounded once in half precision; ``input`` is not read for beta 0."""
    for other in (mat1, mat2):
        if other.dtype != input.dtype:
            raise DtypeError(
                f"self and mat2 must have the same dtype, but got {scalar_type(input)} and {scalar_type(other)}"
            )
    if mat1.shape[-1] != mat2.shape[-2]:
        raise ShapeError(f"mat1 and mat2 shapes cannot be multiplied ({sizes(mat1)} and {sizes(mat2)})")
    require_product("addmm", mat1)
    if used.gpu and beta == alpha == 1 and input.ndim == 1 and mat1.ndim == 2 and is_on_gpu(mat1):
        expanded(input, (len(mat1), mat2.shape[1]))
        return multiplied(mat1, mat2, input)
    if mat1.dtype.kind in "iu":
        beta, alpha = int(beta), int(alpha)  # type: ignore[arg-type]
    is_half = mat1.dtype.itemsize == 2 and mat1.dtype.kind in "fV"
    out = multiplied(mat1, mat2, dtype=np.float32 if is_half else None)
    if alpha != 1:
        out *= alpha
    if beta != 0:
        out += expanded(wide(input), out.shape) if beta == 1 else expanded(wide(input), out.shape) * beta
    else:
        expanded(input, out.shape)
    return rounded(out, input.dtype)


_add_product.gradient(
    input=lambda g, beta: g if beta == 1 else ops.mul(g, beta),
    mat1=lambda g, mat2, alpha: _scaled(ops.matmul(g, ops.transpose(mat2, -1, -2)), alpha),
    mat2=lambda g, mat1, alpha: _scaled(ops.matmul(ops.transpose(mat1, -1, -2), g), alpha),
)


def _number(operation: str, name: str, value: Any) -> Any:
    """A factor as a Python number; a 0-d tensor is read."""
    if isinstance(value, Tensor):
        return number_in(operation, name, value)
    return value.item() if hasattr(value, "item") else value


def _scaled(value: Any, factor: Scalar) -> Any:
    return value if factor == 1 else ops.mul(value, factor)


@takes_out
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Scalar = 1, alpha: Scalar = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``. Shape: (n, m) or broadcast, (n, k), (k, m) -> (n, m)."""
    require_dims("addmm", ("mat1", mat1, 2), ("mat2", mat2, 2))
    return _add_product(input, mat1, mat2, _number("addmm", "beta", beta), _number("addmm", "alpha", alpha))


@autocasts("none")
@takes_out
def addmv(input: Any, mat: Any, vec: Any, *, beta: Scalar = 1, alpha: Scalar = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)``. Shape: (n) or broadcast, (n, k), (k) -> (n)."""
    require_dims("addmv", ("mat", mat, 2), ("vec", vec, 1))
    if mat.shape[1] != vec.shape[0]:
        raise ShapeError(
            f"size mismatch, got input ({mat.shape[0]}), mat ({sizes(mat)}), vec ({vec.shape[0]})"
        )
    if input.ndim > 1 or tuple(input.shape) not in ((), (1,), (mat.shape[0],)):
        raise ShapeError(
            f"size mismatch, got input ({sizes(input)}), mat ({sizes(mat)}), vec ({vec.shape[0]})"
        )
    column = input if input.ndim == 0 else ops.unsqueeze(input, -1)
    return ops.squeeze(
        _add_product(
            column,
            mat,
            ops.unsqueeze(vec, 1),
            _number("addmv", "beta", beta),
            _number("addmv", "alpha", alpha),
        ),
        -1,
    )


@takes_out
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Scalar = 1, alpha: Scalar = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2)``. Shape: broadcast, (b, n, k), (b, k, m) -> (b, n, m)."""
    _require_batches("baddbmm", batch1, batch2)
    return _add_product(
        input, batch1, batch2, _number("baddbmm", "beta", beta), _number("baddbmm", "alpha", alpha)
    )


@takes_out
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Scalar = 1, alpha: Scalar = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2).sum(0)``. Shape: broadcast, (b, n, k), (b, k, m) -> (n, m)."""
    _require_batches("addbmm", batch1, batch2)
    batch, rows, inner = batch1.shape
    # One product over batch and inner.
    left = ops.reshape(ops.permute(batch1, (1, 0, 2)), (rows, batch * inner))
    return _add_product(
        input,
        left,
        ops.reshape(batch2, (batch * inner, batch2.shape[2])),
        _number("addbmm", "beta", beta),
        _number("addbmm", "alpha", alpha),
    )


def _require_batches(name: str, batch1: Any, batch2: Any) -> None:
    require_dims(name, ("batch1", batch1, 3), ("batch2", batch2, 3))
    expected = [batch1.shape[0], batch1.shape[2]]
    if list(batch2.shape[:2]) != expected:
        raise ShapeError(
            f"Expected size for first two dimensions of batch2 tensor to be: {expected} but got: "
            f"{list(batch2.shape[:2])}."
        )


@takes_out
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Scalar = 1, alpha: Scalar = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``. Shape: (n, m) or broadcast, (n), (m) -> (n, m)."""
    require_dims("addr", ("vec1", vec1, 1), ("vec2", vec2, 1))
    if not any(each.is_floating_point() or each.is_complex() for each in (input, vec1, vec2)):
        for label, factor in (("beta", beta), ("alpha", alpha)):
            if isinstance(factor, float):
                raise DtypeError(
                    f"For integral input tensors, argument {label} must not be a floating point number."
                )
    if all(each._array.dtype == np.bool_ for each in (input, vec1, vec2)):
        alpha, beta = bool(alpha), bool(beta)  # "and" and "or"
    product = _scaled(outer(vec1, vec2), alpha)
    expanded(input._array, tuple(product.shape))
    # For beta 0 what stands in `input` must not matter, not even nan.
    nothing = ops.mul(product, False if isinstance(beta, bool) else 0)
    return ops.add(product, _scaled(input, beta) if beta else ops.where(False, input, nothing))


# Outer, inner and tensor products


@takes_out
def outer(input: Any, vec2: Any) -> Any:
    """The product of every element of one vector with every element of another. Shape: (n), (m) -> (n, m)."""
    require_array("outer", "input", input)
    require_array("outer", "vec2", vec2)
    for name, vector in (("self", input), ("vec2", vec2)):
        if vector.ndim != 1:
            raise ShapeError(f"outer: Expected 1-D argument {name}, but got {vector.ndim}-D")
    return ops.mul(ops.unsqueeze(input, 1), vec2)


ger = outer


@takes_out
def inner(input: Any, other: Any) -> Any:
    """The sums of products along the last dims. Shape: (…, k), (…, k) -> (…, …); a 0-d tensor scales the other."""
    require_array("inner", "input", input)
    require_array("inner", "other", other)
    if input.ndim == 0 or other.ndim == 0:
        return ops.mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise ShapeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


@takes_out
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """The sums of products over ``dims``: the last of ``a`` with the first of ``b``, or two lists of dims."""
    left, right = _contracted(a, b, dims)
    if a.dtype != b.dtype:
        raise DtypeError(f"both inputs should have same dtype, got {scalar_type(a)} and {scalar_type(b)}")
    for one, two in zip(left, right, strict=True):
        if a.shape[one] != b.shape[two]:
            if a.shape[one] == 1:
                b = ops.sum(b, two, True, dtype=b.dtype)
            elif b.shape[two] == 1:
                a = ops.sum(a, one, True, dtype=a.dtype)
            else:
                raise ShapeError(
                    f"contracted dimensions need to match, but first has size {a.shape[one]} in dim {one} and second "
                    f"has size {b.shape[two]} in dim {two}"
                )
    free_a = [n for n in range(a.ndim) if n not in left]
    free_b = [n for n in range(b.ndim) if n not in right]
    inner_size = math.prod(a.shape[n] for n in left)
    rows, columns = [a.shape[n] for n in free_a], [b.shape[n] for n in free_b]
    # One number: autocast lets it be, as it does ``dot``.
    if modes.autocast is not None and not rows and not columns:
        return as_it_comes(tensordot, a, b, (left, right))
    first = ops.reshape(ops.permute(a, (*free_a, *left)), (math.prod(rows), inner_size))
    second = ops.reshape(ops.permute(b, (*right, *free_b)), (inner_size, math.prod(columns)))
    return ops.reshape(ops.matmul(first, second), (*rows, *columns))


def _contracted(a: Any, b: Any, dims: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dims that are summed over, from the front, for each of the two.

    Raises:
        RuntimeError: for a number of dims that the tensors do not have, or lists of different lengths.
    """
    require_array("tensordot", "a", a)
    require_array("tensordot", "b", b)
    if hasattr(dims, "numel"):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise ShapeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            raise ShapeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        return tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims))
    left, right = ([each] if isinstance(each, int) else list(each) for each in dims)
    if len(left) != len(right):
        raise ShapeError(f"both dimension lists should have same length, got {left} and {right}")
    return (all_dims(left, a.ndim) if left else ()), (all_dims(right, b.ndim) if right else ())


@takes_out
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: ``other``, scaled by each element of ``input``, side by side. Shape: sizes multiply."""
    require_array("kron", "input", input)
    require_array("kron", "other", other)
    dims = max(input.ndim, other.ndim)
    one = (1,) * (dims - input.ndim) + tuple(input.shape)
    two = (1,) * (dims - other.ndim) + tuple(other.shape)
    left = ops.reshape(input, tuple(size for each in one for size in (each, 1)))
    right = ops.reshape(other, tuple(size for each in two for size in (1, each)))
    return ops.reshape(ops.mul(left, right), tuple(a * b for a, b in zip(one, two, strict=True)))


@autocasts("full")
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix."""
    require_array("trace", "input", input)
    if input.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    require_product("trace", input._array)
    return ops.sum(matrix_diagonal(input))


# Products of vectors along a dim


@op(dtype="same", node="LinalgCross")
def _cross(input: Array, other: Array, dim: int) -> Array:
    """The cross product along ``dim``."""
    require_product("cross", input)
    a, b = np.moveaxis(wide(input), dim, -1), np.moveaxis(wide(other), dim, -1)
    after, before = [1, 2, 0], [2, 0, 1]
    product = a[..., after] * b[..., before] - a[..., before] * b[..., after]
    return np.moveaxis(product, -1, dim).astype(input.dtype, copy=False)


_cross.gradient(
    input=lambda g, other, dim: _cross(other, g, dim),
    other=lambda g, input, dim: _cross(g, input, dim),
)


@takes_out
def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross product of vectors of 3 elements along ``dim``. Shape: broadcasts; the same number of dims."""
    require_array("linalg_cross", "input", input)
    require_array("linalg_cross", "other", other)
    if input.ndim != other.ndim:
        raise ShapeError(
            f"linalg.cross: inputs must have the same number of dimensions, got {input.ndim} and {other.ndim}"
        )
    axis = one_dim(dim, input.ndim)
    if not input.ndim or input.shape[axis] != 3 or other.shape[axis] != 3:
        found = [tuple(each.shape)[axis : axis + 1] for each in (input, other)]
        raise ShapeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got "
            f"{' and '.join(str(each[0]) if each else '0-d' for each in found)}"
        )
    return _cross(input, other, axis)


@takes_out
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross product along ``dim``; the first dim of 3 elements where none is given."""
    require_array("cross", "input", input)
    require_array("cross", "other", other)
    if dim is None:
        if input.ndim != other.ndim:
            raise ShapeError(
                f"linalg.cross: inputs must have the same number of dimensions, got {input.ndim} and {other.ndim}"
            )
        if 3 not in input.shape:
            raise ShapeError("no dimension of size 3 in input")
        dim = tuple(input.shape).index(3)
    return linalg_cross(input, other, dim=dim)


@autocasts("lower")
@takes_out
def linalg_vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The sums of products along ``dim``, the first conjugated. Shape: broadcasts."""
    require_array("linalg_vecdot", "x", x)
    require_array("linalg_vecdot", "y", y)
    if not (x.is_floating_point() or x.is_complex()):
        raise DtypeError(
            f"linalg.vecdot: Expected a floating point or complex tensor as input. Got {scalar_type(x)}"
        )
    if x.dtype != y.dtype:
        raise DtypeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {scalar_type(x)} and y of "
            f"type {scalar_type(y)} instead"
        )
    if x.ndim == 0 and y.ndim == 0:
        raise DimensionError("linalg.vecdot: x and y have no dim to sum over")
    return ops.sum(ops.mul(ops.conj(x) if x.is_complex() else x, y), dim)
