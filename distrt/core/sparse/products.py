"""Products of matrices of which one is sparse, or both are."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array
from distrt.core.errors import ShapeError, UnsupportedError
from distrt.core.sparse.array import LayoutFault, is_sparse
from distrt.core.sparse.coo import Coo
from distrt.core.sparse.operations import at_places, coalesce, converted, product, product_at, values_of
from distrt.core.tensor import Tensor, wrap

__all__ = [
    "addmm",
    "addmv",
    "hspmm",
    "linear",
    "matmul",
    "mm",
    "mv",
    "sampled_addmm",
    "smm",
    "spmm",
    "sspaddmm",
]


def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices: dense where one of them is. Shape: (n, k), (k, m) -> (n, m)."""
    _require_matrices("mm", input, mat2)
    if input.shape[1] != mat2.shape[0]:
        raise ShapeError(
            f"mat1 and mat2 shapes cannot be multiplied ({input.shape[0]}x{input.shape[1]} and "
            f"{mat2.shape[0]}x{mat2.shape[1]})"
        )
    if not is_sparse(input._array):  # the transposed product, transposed
        return ops.transpose(product(values_of(mat2), ops.transpose(input, 0, 1), mat2._array, True), 0, 1)
    if not is_sparse(mat2._array):
        return product(values_of(input), mat2, input._array)
    return _of_sparse(input, mat2)


def _require_matrices(name: str, *given: Any) -> None:
    for each in given:
        if each.ndim != 2:
            raise ShapeError(f"{name}: expected matrices, got {each.ndim}-D tensors of {list(each.shape)}")
        if is_sparse(each._array) and each._array.values.ndim != 1:
            raise LayoutFault(f"{name}: a sparse matrix with dense dims has no product: take its to_dense()")


def _require_sparse(name: str, *given: Any) -> None:
    for each in given:
        if not is_sparse(each._array):
            raise UnsupportedError(f"{name}: expected a sparse matrix, got a dense one of {list(each.shape)}")


def _of_sparse(first: Tensor, second: Tensor) -> Any:
    """The product of two sparse matrices, a sparse one in the layout of the first."""
    pattern: Any = first._array
    one, other = _with_coordinates(first), _with_coordinates(second)
    places, left, right = _pairs(one._array, other._array)
    shape = (first.shape[0], second.shape[1])
    terms = ops.mul(
        ops.index_select(values_of(one), 0, wrap(left)), ops.index_select(values_of(other), 0, wrap(right))
    )
    made = coalesce(at_places(terms, Coo(places, terms._array, shape)))
    return made if isinstance(pattern, Coo) else converted(made, "csc" if pattern.is_by_column else "csr")


def _with_coordinates(matrix: Tensor) -> Any:
    """A coalesced matrix in coordinates."""
    return coalesce(matrix if isinstance(matrix._array, Coo) else converted(matrix, "coo"))


def _pairs(first: Coo, second: Coo) -> tuple[Array, Array, Array]:
    """The coordinates of all products of two elements that are not 0, and which elements these are."""
    starts = second.rows().starts
    inner = first.indices[1]
    counts = starts[inner + 1] - starts[inner]
    left = np.repeat(np.arange(len(inner)), counts)
    before = np.cumsum(counts) - counts
    right = np.arange(len(left)) - before[left] + starts[inner][left]
    return np.stack((first.indices[0][left], second.indices[1][right])), left, right


def spmm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, of which one may be sparse: `distrt.mm`."""
    return ops.mm(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """The product of a sparse matrix and a vector. Shape: (n, k), (k) -> (n)."""
    if input.ndim != 2 or vec.ndim != 1:
        raise ShapeError(f"vector + matrix @ vector expected, got 1, {input.ndim}, {vec.ndim}")
    if is_sparse(vec._array):
        raise LayoutFault("mv: a sparse vector is not multiplied: take its to_dense()")
    return ops.squeeze(mm(input, ops.unsqueeze(vec, -1)), -1)


def matmul(input: Any, other: Any) -> Any:
    """The product of matrices, of which a dense one may come in batches, or of a sparse matrix and a vector."""
    if other.ndim == 1:
        return mv(input, other)
    if input.ndim == 1:
        return mv(ops.transpose(other, 0, 1), input)
    if input.ndim == other.ndim == 3 and is_sparse(input._array):
        return _of_batches(input, other)
    if input.ndim > 2 and other.ndim == 2 and not is_sparse(input._array):
        rows = mm(ops.reshape(input, (-1, input.shape[-1])), other)
        return ops.reshape(rows, (*input.shape[:-1], other.shape[1]))
    return mm(input, other)


def _of_batches(input: Any, mat2: Any) -> Any:
    """The products of a sparse batch of matrices and a dense one, as of one matrix with the batch on its diagonal."""
    pattern = input._array
    if is_sparse(mat2._array):
        raise UnsupportedError("bmm_sparse: Tensor 'mat2' must be dense")
    if not isinstance(pattern, Coo) or len(pattern.indices) != 3:
        raise LayoutFault(
            "bmm: a sparse batch of matrices has three coordinates and no dense dims: take its to_dense()"
        )
    count, rows, columns = input.shape
    batch, row, column = pattern.indices
    places = np.stack((batch * rows + row, batch * columns + column))
    values = values_of(input)
    whole = at_places(values, Coo(places, values._array, (count * rows, count * columns)))
    found = mm(whole, ops.reshape(mat2, (count * columns, mat2.shape[2])))
    return ops.reshape(found, (count, rows, mat2.shape[2]))


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``. Shape: (…, in), (out, in), (out) -> (…, out)."""
    made = matmul(input, ops.transpose(weight, 0, 1))
    return made if bias is None else ops.add(made, bias)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``, of which ``input`` is dense where the product is."""
    return _added("addmm", input, mm(mat1, mat2), beta, alpha)


def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)``, of a sparse ``mat``."""
    return _added("addmv", input, mv(mat, vec), beta, alpha)


def _added(name: str, input: Any, found: Any, beta: Any, alpha: Any) -> Any:
    if alpha != 1:
        found = ops.mul(found, alpha)
    if is_sparse(input._array) and not is_sparse(found._array):
        raise ShapeError(f"{name}: expected 'self' to be dense, as the product is")
    if beta == 0 and not is_sparse(input._array):  # what is in it, NaN too, does not count
        return ops.add(ops.masked_fill(input, wrap(np.ones((), bool)), 0), found)
    return ops.add(input if beta == 1 else ops.mul(input, beta), found)


def smm(input: Any, mat: Any) -> Any:
    """The product of a sparse and a dense matrix as a sparse one: the rows that are not 0, element by element."""
    return sspaddmm(_zeros(input.shape[0], mat.shape[1], mat), input, mat)


def sspaddmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)`` as a sparse matrix, of a sparse ``input`` and ``mat1``."""
    _require_matrices("sspaddmm", input, mat1, mat2)
    _require_sparse("sspaddmm", input, mat1)
    found = mm(mat1, mat2)
    rows = np.unique(_with_coordinates(mat1)._array.indices[0])
    width = mat2.shape[1]
    indices = np.stack((np.repeat(rows, width), np.tile(np.arange(width), len(rows))))
    values = ops.reshape(ops.index_select(found, 0, wrap(rows)), (-1,))
    made = at_places(values, Coo(indices, values._array, tuple(found.shape), True))
    if alpha != 1:
        made = ops.mul(made, alpha)
    return ops.add(coalesce(input if beta == 1 else ops.mul(input, beta)), made)


def hspmm(mat1: Any, mat2: Any) -> Any:
    """The product of a sparse and a dense matrix as a sparse one of whole rows: those that are not 0."""
    _require_matrices("hspmm", mat1, mat2)
    _require_sparse("hspmm", mat1)
    rows = np.unique(_with_coordinates(mat1)._array.indices[0])
    values = ops.index_select(mm(mat1, mat2), 0, wrap(rows))
    return at_places(values, Coo(rows[None], values._array, (mat1.shape[0], mat2.shape[1]), True))


def _zeros(rows: int, columns: int, like: Tensor) -> Tensor:
    values = np.empty(0, like._array.dtype, like=like._array)
    return wrap(Coo(np.empty((2, 0), np.int64), values, (rows, columns), True))


def sampled_addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)`` at the places of a sparse ``input``. Shape: (n, m), (n, k), (k, m)."""
    _require_matrices("sampled_addmm", input, mat1, mat2)
    _require_sparse("sampled_addmm", input)
    if (mat1.shape[0], mat2.shape[1], mat1.shape[1]) != (*input.shape, mat2.shape[0]):
        raise ShapeError(
            f"sampled_addmm: {list(mat1.shape)} @ {list(mat2.shape)} is not of the size {list(input.shape)}"
        )
    pattern = input._array.coalesced()
    found = product_at(mat1, ops.transpose(mat2, 0, 1), pattern)
    return at_places(ops.add(ops.mul(found, alpha), ops.mul(values_of(coalesce(input)), beta)), pattern)
