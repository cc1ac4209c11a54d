"""What the families of linear algebra share: checks of their arguments, adjoints, products with diagonal ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, identity_matrix, is_on_gpu, known, require_array
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, LinAlgError, ShapeError, UnsupportedError
from distrt.core.gpu import library
from distrt.core.ops.pointwise.type_names import scalar_type

__all__: list[str] = []  # nothing that users see

# Checks


def require_matrix(name: str, value: Any, label: str = "A", square: bool = False, low: bool = False) -> None:
    """Raises what PyTorch raises for what is not a matrix, or a batch of them, of floating or complex numbers.

    Args:
        name: the operation, as messages name it.
        value: the argument.
        label: the argument's name.
        square: whether the matrices must be square.
        low: whether half precision is allowed.

    Raises:
        TypeError: for what is no tensor.
        ShapeError: for fewer than two dims, or matrices that are not square.
        DtypeError: for integers, bool, and (unless ``low``) half precision.
    """
    require_array(name.replace(".", "_"), label, value)
    if value.ndim < 2:
        raise ShapeError(f"{name}: The input tensor {label} must have at least 2 dimensions.")
    if square and value.shape[-1] != value.shape[-2]:
        raise ShapeError(
            f"{name}: {label} must be batches of square matrices, but they are {value.shape[-2]} by "
            f"{value.shape[-1]} matrices"
        )
    require_float(name, value, low)


def require_float(name: str, value: Any, low: bool = False) -> None:
    """Raises DtypeError for integers and bool, UnsupportedError (unless ``low``) for half precision."""
    array = getattr(value, "_array", value)
    if array.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {scalar_type(array)}"
        )
    if not low and array.dtype.itemsize == 2:
        raise UnsupportedError(f"{name}: Low precision dtypes not supported. Got {scalar_type(array)}")


def require_same_dtype(name: str, a: Any, b: Any, labels: tuple[str, str] = ("A", "B")) -> None:
    """Raises DtypeError where the two differ."""
    if a.dtype != b.dtype:
        one, two = labels
        raise DtypeError(
            f"{name}: Expected {one} and {two} to have the same dtype, but found {one} of type {scalar_type(a)} and "
            f"{two} of type {scalar_type(b)} instead"
        )


def fail_where(name: str, failed: Array, says: Any) -> None:
    """Raises LinAlgError for the first matrix of a batch that ``failed`` marks; ``says`` makes its message.

    Args:
        name: the operation, as messages name it.
        failed: for each matrix 0, or the position (from 1) of what went wrong.
        says: from that position, the message.
    """
    if not known(np.any(failed)):
        return
    if failed.ndim == 0:
        raise LinAlgError(f"{name}: {says(int(failed))}")
    number = int(np.flatnonzero(failed)[0])
    raise LinAlgError(f"{name}: (Batch element {number}): {says(int(failed.reshape(-1)[number]))}")


def checked(function: Callable[..., Any], *arrays: Array, **options: Any) -> Any:
    """A function of ``np.linalg``, which raises NumPy's LinAlgError on a GPU, too."""
    if not is_on_gpu(arrays[0]):
        return function(*arrays, **options)
    with library.telling_failures():
        return function(*arrays, **options)


def not_converged(name: str, matrix: Array) -> LinAlgError:
    """The error for a matrix whose singular values or eigenvalues were not found."""
    if not np.isfinite(matrix).all():
        return LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix contained non-finite values."
        )
    return LinAlgError(
        f"{name}: The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
        "repeated values"
    )


def svd_of(name: str, matrix: Array, full_matrices: bool = False) -> Any:
    """U, S and Vh of arrays.

    Raises:
        LinAlgError: where they were not found, as for nan.
    """
    try:
        return tuple(checked(np.linalg.svd, matrix, full_matrices=full_matrices))
    except np.linalg.LinAlgError:
        raise not_converged(name, matrix) from None


def singular_values_of(name: str, matrix: Array) -> Array:
    """As :func:`svd_of`, the singular values alone."""
    try:
        return checked(np.linalg.svd, matrix, compute_uv=False)
    except np.linalg.LinAlgError:
        raise not_converged(name, matrix) from None


# Parts of matrices


def transposed(matrix: Any) -> Any:
    """The last two dims exchanged."""
    return ops.transpose(matrix, -1, -2)


def adjoint(matrix: Any) -> Any:
    """The conjugate transpose."""
    return ops.conj(ops.transpose(matrix, -1, -2)) if is_complex(matrix) else ops.transpose(matrix, -1, -2)


def is_complex(value: Any) -> bool:
    """True for complex numbers, in a tensor or an array."""
    return bool(getattr(value, "_array", value).dtype.kind == "c")


def product_of(*factors: Any) -> Any:
    """The matrix product, from the left to the right."""
    result = factors[0]
    for each in factors[1:]:
        result = ops.matmul(result, each)
    return result


def columns_scaled(matrix: Any, scales: Any) -> Any:
    """``matrix @ diag(scales)``."""
    return ops.mul(matrix, ops.unsqueeze(scales, -2))


def rows_scaled(scales: Any, matrix: Any) -> Any:
    """``diag(scales) @ matrix``."""
    return ops.mul(ops.unsqueeze(scales, -1), matrix)


def matrix_diagonal(matrix: Any) -> Any:
    """The diagonals of the last two dims, a view."""
    return ops.diagonal(matrix, 0, -2, -1)


def identity_like(matrix: Any) -> Array:
    """The identity matrix (an array) of a square matrix's size and dtype."""
    return identity_matrix(matrix.shape[-1], None, beside(matrix).dtype, beside(matrix))
