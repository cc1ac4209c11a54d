"""Linear systems: inverses, solutions from matrices and from their factors, least squares, pseudo-inverses."""

# ruff: noqa: N803 - matrices are named as PyTorch names its arguments

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, is_on_gpu, require_array
from distrt.core.autocast import autocasts
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.op import op
from distrt.core.ops.linalg.factor_kernels import first_zero_pivot, lu_factors, permutation, solve_triangle
from distrt.core.ops.linalg.matrices import (
    adjoint,
    checked,
    fail_where,
    identity_like,
    product_of,
    require_float,
    require_matrix,
    require_same_dtype,
    transposed,
)
from distrt.core.ops.linalg.matrix import sizes
from distrt.core.ops.shapes.dims import one_dim
from distrt.core.tensor import wrap
from distrt.core.tensors.return_types import return_type

__all__ = [
    "cholesky_inverse",
    "cholesky_solve",
    "inverse",
    "linalg_inv",
    "linalg_inv_ex",
    "linalg_lu_solve",
    "linalg_solve",
    "linalg_solve_ex",
    "linalg_solve_triangular",
    "linalg_tensorinv",
    "linalg_tensorsolve",
    "lu_solve",
    "triangular_solve",
]


# Inverses


@op(node="LinalgInvEx")
def _inverse(A: Array) -> Any:
    """The inverse of each matrix (nan where there is none), and the position of the first zero pivot, or 0."""
    infos = np.zeros(A.shape[:-2], np.int32, like=A)
    try:
        return checked(np.linalg.inv, A), infos
    except np.linalg.LinAlgError:
        infos = first_zero_pivot(lu_factors(A)[0])
    healthy = np.where((infos != 0)[..., None, None], identity_like(A), A)
    return np.where((infos != 0)[..., None, None], A.dtype.type(np.nan), np.linalg.inv(healthy)), infos


_inverse.outputs("inverse", "info")
_inverse.gradient(
    A=lambda g_inverse, inverse: ops.neg(
        product_of(transposed(inverse), product_of(g_inverse, transposed(inverse)))
    )
)


def _inverse_says(position: int) -> str:
    return (
        f"The diagonal element {position} is zero, the inversion could not be completed because the input matrix is "
        "singular."
    )


@autocasts("full")
@takes_out
def linalg_inv(A: Any) -> Any:
    """The inverse. Shape: (…, n, n) -> (…, n, n).

    Raises:
        LinAlgError: where a matrix is singular.
    """
    require_matrix("linalg.inv", A, square=True)
    result, info = _inverse(A)
    fail_where("linalg.inv", info._array, _inverse_says)
    return result


@autocasts("full")
@takes_out
def inverse(input: Any) -> Any:
    """As ``linalg.inv``."""
    return linalg_inv(input)


@autocasts("full")
@takes_out
def linalg_inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """As ``linalg.inv``, but a singular matrix is told by ``info`` (the position of its first zero pivot, or 0)."""
    require_matrix("linalg.inv", A, square=True)
    found = tuple(_inverse(A))
    if check_errors:
        fail_where("linalg.inv_ex", found[1]._array, _inverse_says)
    return return_type("linalg_inv_ex", ("inverse", "info"))(found)


# Solutions from the matrix itself


@op(node="LinalgSolveEx")
def _solution(A: Array, B: Array) -> Any:
    """X with ``A X = B`` for matrices (nan where there is none), and the position of the first zero pivot, or 0."""
    infos = np.zeros(A.shape[:-2], np.int32, like=A)
    try:
        return checked(np.linalg.solve, *_of_one_batch(A, B)), infos
    except np.linalg.LinAlgError:
        infos = first_zero_pivot(lu_factors(A)[0])
    singular = (infos != 0)[..., None, None]
    found = np.linalg.solve(*_of_one_batch(np.where(singular, identity_like(A), A), B))
    return np.where(singular, A.dtype.type(np.nan), found), infos


def _of_one_batch(*matrices: Array) -> Sequence[Array]:
    """The matrices, of one batch where they are on a GPU: CuPy's ``solve`` does not broadcast."""
    if not is_on_gpu(matrices[0]):
        return matrices
    batch = np.broadcast_shapes(*(each.shape[:-2] for each in matrices))
    return [np.broadcast_to(each, (*batch, *each.shape[-2:])) for each in matrices]


_solution.outputs("result", "info")
_solution.gradient(
    A=lambda g_result, A, result: ops.neg(
        product_of(_solution(transposed(A), g_result)[0], transposed(result))
    ),
    B=lambda g_result, A: _solution(transposed(A), g_result)[0],
)


def _require_fit(name: str, a: Any, b: Any, left: bool) -> None:
    """Raises ShapeError where the sizes of a square ``a`` and a matrix ``b`` do not fit."""
    if a.shape[-1] != b.shape[-2 if left else -1]:
        raise ShapeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )


def _solved(name: str, a: Any, b: Any, left: bool) -> tuple[Any, Any]:
    require_matrix(name, a, square=True)
    require_array(name.replace(".", "_"), "B", b)
    require_same_dtype(name, a, b)
    is_vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and tuple(b.shape) == tuple(a.shape[:-1]))
    if is_vector and not left:
        raise ShapeError(
            f"{name}: Vector broadcasting of the left hand side is not supported for left=False. In this case "
            "linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    if b.ndim == 0:
        raise ShapeError(f"{name}: B must have at least 1 dim")
    matrix = ops.unsqueeze(b, -1) if is_vector else b
    _require_fit(name, a, matrix, left)
    if left:
        result, info = _solution(a, matrix)
        return (ops.squeeze(result, -1) if is_vector else result), info
    result, info = _solution(transposed(a), transposed(matrix))
    return transposed(result), info


def _solver_says(position: int) -> str:
    return "The solver failed because the input matrix is singular."


@autocasts("full")
@takes_out
def linalg_solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with ``A X = B``, or ``X A = B`` without ``left``; B holds vectors or matrices.

    Shape: (…, n, n), (…, n) or (…, n, k) -> the shape of B, with the batch dims broadcast.

    Raises:
        LinAlgError: where a matrix is singular.
    """
    if not hasattr(A, "_array") and not hasattr(B, "_array"):  # in a derivative rule
        return _solution(A, B)[0]
    result, info = _solved("linalg.solve", A, B, left)
    fail_where("torch.linalg.solve", info._array, _solver_says)
    return result


@takes_out
def linalg_solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """As :func:`linalg_solve`, but a singular matrix is told by ``info`` (the position of its first zero pivot)."""
    result, info = _solved("linalg.solve", A, B, left)
    if check_errors:
        fail_where("torch.linalg.solve_ex", info._array, _solver_says)
    return return_type("linalg_solve_ex", ("result", "info"))((result, info))


# Solutions from triangular factors


@op(node="LinalgSolveTriangular")
def _triangular_solution(A: Array, B: Array, upper: bool, unitriangular: bool) -> Array:
    """X with ``A X = B``, of which only one triangle of A is read."""
    return solve_triangle(A, B, upper, unitriangular)


def _triangular_slope(g: Any, a: Any, out: Any, is_upper: bool, is_unit: bool) -> Any:
    slope = ops.neg(
        product_of(_triangular_solution(transposed(a), g, not is_upper, is_unit), transposed(out))
    )
    offset = 1 if is_unit else 0
    return ops.triu(slope, offset) if is_upper else ops.tril(slope, -offset)


_triangular_solution.gradient(
    A=lambda g, A, out, upper, unitriangular: _triangular_slope(g, A, out, upper, unitriangular),
    B=lambda g, A, upper, unitriangular: _triangular_solution(transposed(A), g, not upper, unitriangular),
)


@takes_out
def linalg_solve_triangular(
    input: Any,
    B: Any,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Any:
    """X with ``A X = B`` (``X A = B`` without ``left``) for triangular A, of which the other triangle is not read.

    Shape: (…, n, n), (…, n, k) -> (…, n, k).
    """
    name = "linalg.solve_triangular"
    if not hasattr(input, "_array") and not hasattr(B, "_array"):  # in a derivative rule
        pass
    else:
        require_matrix(name, input, square=True)
        require_matrix(name, B, "B")
        require_same_dtype(name, input, B)
        _require_fit(name, input, B, left)
    if left:
        return _triangular_solution(input, B, upper, unitriangular)
    return transposed(_triangular_solution(transposed(input), transposed(B), not upper, unitriangular))


@autocasts("full")
@takes_out
def triangular_solve(
    input: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """X with ``A X = input`` for triangular A (its transpose with ``transpose``), and A."""
    require_array("triangular_solve", "input", input)
    require_array("triangular_solve", "A", A)
    for label, each in (("b", input), ("A", A)):
        if each.ndim < 2:
            raise ShapeError(
                f"torch.triangular_solve: Expected {label} to have at least 2 dimensions, but it has {each.ndim} "
                "dimensions instead"
            )
    matrix = transposed(A) if transpose else A
    solution = linalg_solve_triangular(matrix, input, upper=upper != transpose, unitriangular=unitriangular)
    return return_type("triangular_solve", ("solution", "cloned_coefficient"))((solution, ops.clone(A)))


@autocasts("full")
@takes_out
def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:
    """X with ``A X = input``, from the Cholesky factor of A. Shape: (…, n, k), (…, n, n) -> (…, n, k)."""
    require_array("cholesky_solve", "input", input)
    require_array("cholesky_solve", "L", L)
    for label, each in (("b", input), ("u", L)):
        if each.ndim < 2:
            raise ShapeError(
                f"{label} should have at least 2 dimensions, but has {each.ndim} dimensions instead"
            )
    require_matrix("cholesky_solve", L, square=True)
    require_same_dtype("cholesky_solve", L, input, ("A", "b"))
    if input.shape[-2] != L.shape[-1]:
        raise ShapeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {L.shape[-2]} by {L.shape[-1]} but each b "
            f"matrix is {input.shape[-2]} by {input.shape[-1]}"
        )
    factor = adjoint(L) if upper else L
    half = linalg_solve_triangular(factor, input, upper=False)
    return linalg_solve_triangular(adjoint(factor), half, upper=True)


@autocasts("full")
@takes_out
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """The inverse of A, from its Cholesky factor. Shape: (…, n, n) -> (…, n, n)."""
    require_matrix("cholesky_inverse", L, square=True)
    identity = np.broadcast_to(identity_like(L), tuple(L.shape))
    return cholesky_solve(wrap(identity.copy()), L, upper)


@autocasts("none")
@takes_out
def linalg_lu_solve(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """X with ``A X = B`` (``X A = B`` without ``left``), from the LU factorisation of A; with ``adjoint`` of A^H.

    Shape: (…, n, n), (…, n), (…, n, k) -> (…, n, k).
    """
    name = "torch.linalg.lu_solve"
    require_matrix(name, LU, "LU", square=True)
    require_matrix(name, B, "B")
    require_same_dtype(name, LU, B, ("LU", "B"))
    if pivots._array.dtype != np.int32:
        raise DtypeError(f"{name}: pivots should be a Tensor of scalar type torch.int32. Got {pivots.dtype}")
    _require_fit(name, LU, B, left)
    if not left:
        turned = linalg_lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint)
        return _adjoint(turned)
    order = permutation(pivots._array - 1, LU.shape[-1])
    swap = wrap(identity_like(LU)[order])  # P^T
    if adjoint:
        half = linalg_solve_triangular(_adjoint(LU), B, upper=False)
        half = linalg_solve_triangular(_adjoint(LU), half, upper=True, unitriangular=True)
        return product_of(transposed(swap), half)
    half = linalg_solve_triangular(LU, product_of(swap, B), upper=False, unitriangular=True)
    return linalg_solve_triangular(LU, half, upper=True)


_adjoint = adjoint


@autocasts("full")
@takes_out
def lu_solve(input: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """As ``linalg.lu_solve``, with the right-hand side first."""
    return linalg_lu_solve(LU_data, LU_pivots, input)


# Tensors as linear maps


@autocasts("full")
@takes_out
def linalg_tensorinv(input: Any, ind: int = 2) -> Any:
    """The inverse with respect to ``tensordot(…, ind)``. Shape: (a…, b…) -> (b…, a…), where a… are ``ind`` dims."""
    require_array("linalg_tensorinv", "input", input)
    require_float("linalg.tensorinv", input)
    if ind <= 0:
        raise ShapeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    rows, columns = tuple(input.shape[:ind]), tuple(input.shape[ind:])
    if math.prod(rows) != math.prod(columns):
        raise ShapeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{math.prod(columns)} != {math.prod(rows)}"
        )
    square = ops.reshape(input, (math.prod(rows), math.prod(columns)))
    return ops.reshape(linalg_inv(square), (*columns, *rows))


@autocasts("full")
@takes_out
def linalg_tensorsolve(input: Any, other: Any, dims: Sequence[int] | None = None) -> Any:
    """X with ``tensordot(input, X, X.ndim) = other``; ``dims`` of the input are moved to its end first."""
    require_array("linalg_tensorsolve", "input", input)
    require_array("linalg_tensorsolve", "other", other)
    require_float("linalg.tensorsolve", input)
    if dims is not None:
        last = [one_dim(dim, input.ndim) for dim in dims]
        input = ops.permute(input, (*(n for n in range(input.ndim) if n not in last), *last))
    given, wanted = math.prod(input.shape[: other.ndim]), tuple(input.shape[other.ndim :])
    if given != math.prod(wanted) or given != math.prod(other.shape):
        raise ShapeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {math.prod(wanted)} != {math.prod(other.shape)} (shapes {sizes(input)} and {sizes(other)})"
        )
    square = ops.reshape(input, (given, given))
    return ops.reshape(linalg_solve(square, ops.reshape(other, (given,))), wanted)
