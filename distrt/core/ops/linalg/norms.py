"""Norms of vectors and matrices, as ``linalg`` defines them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, as_array, require_array
from distrt.core.definitions.out import takes_out
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.linalg.matrices import require_float, require_matrix
from distrt.core.ops.pointwise.half import wide
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.ops.shapes.dims import all_dims, one_dim

__all__ = ["linalg_matrix_norm", "linalg_norm", "linalg_vector_norm"]


# Vectors


@op(holomorphic=False, node="LinalgVectorNorm")
def _vector_norm(input: Array, ord: float, dim: tuple[int, ...], keepdim: bool) -> Array:
    """``sum(|x| ** ord) ** (1 / ord)`` over ``dim``: the largest for inf, the number of non-zeros for 0."""
    size = np.abs(wide(input))
    if ord == math.inf:
        found = size.max(axis=dim, keepdims=keepdim)
    elif ord == -math.inf:
        found = size.min(axis=dim, keepdims=keepdim)
    elif ord == 0:
        found = (size != 0).sum(axis=dim, keepdims=keepdim).astype(size.dtype)
    elif ord == 1:
        found = size.sum(axis=dim, keepdims=keepdim)
    elif ord == 2:
        found = np.sqrt(np.square(size).sum(axis=dim, keepdims=keepdim))
    else:
        found = (size**ord).sum(axis=dim, keepdims=keepdim) ** (1 / ord)
    return as_array(found).astype(input.real.dtype, copy=False)


def _norm_slope(g: Any, x: Any, out: Any, order: float, dim: tuple[int, ...]) -> Any:
    """PyTorch's: 0 where the norm is 0, shared by all elements that are as large as the largest, none for a count."""
    kept = tuple(1 if n in dim else size for n, size in enumerate(x.shape))
    g, out = ops.reshape(g, kept), ops.reshape(out, kept)
    if order == 0:
        return None
    if order == 1:
        return ops.mul(_direction(x), g)
    if order == 2:
        return ops.mul(x, _over(g, out))
    if math.isinf(order):
        size = ops.abs(x)
        reached = ops.where(ops.eq(size, out), 1.0, ops.mul(size, 0))
        return ops.mul(_direction(x), ops.mul(reached, ops.true_divide(g, ops.sum(reached, dim, True))))
    size = ops.abs(x)
    zero = ops.eq(size, 0)
    powered = ops.where(zero, 0.0, ops.pow(ops.where(zero, 1.0, size), order - 1))
    empty = ops.eq(out, 0)
    scale = ops.where(empty, 0.0, ops.true_divide(g, ops.pow(ops.where(empty, 1.0, out), order - 1)))
    return ops.mul(ops.mul(_direction(x), powered), scale)


def _direction(x: Any) -> Any:
    """Each element over its size; 0 for 0."""
    size = ops.abs(x)
    zero = ops.eq(size, 0)
    return ops.where(zero, 0.0, ops.true_divide(x, ops.where(zero, 1.0, size)))


def _over(g: Any, norm: Any) -> Any:
    zero = ops.eq(norm, 0)
    return ops.where(zero, 0.0, ops.true_divide(g, ops.where(zero, 1.0, norm)))


_vector_norm.gradient(
    input=lambda g, input, out, ord, dim: _norm_slope(g, input, out, ord, dim),
)


@takes_out
def linalg_vector_norm(
    input: Any, ord: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """``sum(|x| ** ord) ** (1 / ord)`` over ``dim`` (all dims for None): inf and -inf are the extremes, 0 counts.

    Raises:
        ShapeError: for an extreme over no elements.
    """
    name = "linalg.vector_norm"
    require_array("linalg_vector_norm", "input", input)
    if isinstance(ord, str) or not isinstance(ord, int | float):
        raise TypeError(
            f"linalg_vector_norm(): argument 'ord' (position 2) must be Number, not {type(ord).__name__}"
        )
    require_float(name, input, low=True)
    input = _converted(name, input, dtype)
    dims = all_dims(dim, input.ndim)
    if ord < 0 or ord == math.inf:
        _require_elements(name, input, ord, dim, dims)
    return _vector_norm(input, float(ord), dims, keepdim)


def _require_elements(name: str, input: Any, ord: float, dim: Any, dims: tuple[int, ...]) -> None:
    if dim is None and not input.numel():
        raise ShapeError(
            f"{name} cannot compute the {ord} norm on an empty tensor because the operation does not have an identity"
        )
    for each in dims:
        if input.shape[each] == 0:
            raise ShapeError(
                f"{name} cannot compute the {ord} norm on the dimension {each} because this dimension is empty and the "
                "operation does not have an identity"
            )


def _converted(name: str, input: Any, dtype: Any) -> Any:
    """The input in the dtype that was asked for, which must not be narrower nor of the other kind."""
    if dtype is None:
        return input
    have, want = input._array.dtype, dt.to_numpy(dtype)
    if (have.kind == "c") != (want.kind == "c"):
        kind = "complex" if have.kind == "c" else "real"
        raise DtypeError(f"{name}: dtype should be {kind} for {kind} inputs, but got {_scalar_type(want)}")
    if want not in dt.FLOATING_NUMPY or want.itemsize < have.itemsize:
        raise DtypeError(
            f"{name}: the dtype of the input ({scalar_type(input)}) should be convertible without narrowing to the "
            f"specified dtype ({_scalar_type(want)})"
        )
    return ops.to_dtype(input, want)


def _scalar_type(kind: Any) -> str:
    return scalar_type(np.empty(0, kind))


# Matrices


@takes_out
def linalg_matrix_norm(
    input: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of matrices: "fro", "nuc" (the sum of singular values), or what ``ord`` compares.

    That is the sums of rows for inf, of columns for 1, and the singular values for 2; the negative orders take the
    smallest where the positive ones take the largest.
    """
    name = "linalg.matrix_norm"
    require_array("linalg_matrix_norm", "input", input)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    require_matrix(name, input, low=not (ord == "nuc" or ord in (2, -2)))
    rows, columns = _two_dims(name, dim, input.ndim)
    if ord == "fro":
        return linalg_vector_norm(input, 2, (rows, columns), keepdim, dtype=dtype)
    input = _converted(name, input, dtype)
    if ord == "nuc" or abs(ord) == 2:
        return _of_singular_values(input, ord, rows, columns, keepdim)
    first, second = (rows, columns) if abs(ord) == 1 else (columns, rows)  # summed, then compared
    sums = linalg_vector_norm(input, 1, first, True)
    found = _extreme(sums, second, ord > 0)
    return found if keepdim else ops.squeeze(found, (rows, columns))


def _two_dims(name: str, dim: Any, ndim: int) -> tuple[int, int]:
    given: Sequence[int] = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(given) != 2:
        raise ShapeError(f"{name}: dim must be a 2-tuple. Got {', '.join(map(str, given))}")
    rows, columns = one_dim(given[0], ndim), one_dim(given[1], ndim)
    if rows == columns:
        raise ShapeError(f"{name}: dims must be different. Got {tuple(given)}")
    return rows, columns


def _extreme(values: Any, dim: int, largest: bool) -> Any:
    if values.shape[dim] == 0 and largest:  # sizes are never negative, so that 0 is the identity
        return ops.sum(values, dim, True)
    return (ops.amax if largest else ops.amin)(values, dim, True)


def _of_singular_values(input: Any, ord: Any, rows: int, columns: int, keepdim: bool) -> Any:
    others = [n for n in range(input.ndim) if n not in (rows, columns)]
    values = ops.linalg_svdvals(ops.permute(input, (*others, rows, columns)))
    if ord == "nuc":
        found = ops.sum(values, -1)
    else:
        found = ops.squeeze(_extreme(values, values.ndim - 1, ord > 0), -1)
    if keepdim:
        found = ops.reshape(
            found, tuple(1 if n in (rows, columns) else size for n, size in enumerate(input.shape))
        )
    return found


# Either


@takes_out
def linalg_norm(
    input: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of vectors or matrices: ``ord`` and ``dim`` say which.

    Without ``ord`` the Euclidean norm over ``dim``; with one, that of matrices for two dims, and of vectors for one.
    """
    require_array("linalg_norm", "input", input)
    dims = None if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if dims is not None and len(dims) not in (1, 2):
        raise ShapeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if ord is None:
        return linalg_vector_norm(input, 2, dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        return linalg_matrix_norm(input, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)
    if dims is None:
        if input.ndim not in (1, 2):
            raise ShapeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{input.ndim}D."
            )
        dims = tuple(range(input.ndim))
    if len(dims) == 1:
        return linalg_vector_norm(input, ord, dims, keepdim, dtype=dtype)
    return linalg_matrix_norm(input, ord, dims, keepdim, dtype=dtype)
