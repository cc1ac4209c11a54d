"""Facade: linear algebra, at the path that PyTorch users type. The operations are in ``distrt.core.ops``."""

from __future__ import annotations

from typing import Any

from distrt.core import ops
from distrt.core.definitions.wording import hand_out
from distrt.core.errors import LinAlgError
from distrt.core.ops.linalg.chains import linalg_multi_dot as multi_dot
from distrt.core.ops.linalg.determinants import linalg_det as det
from distrt.core.ops.linalg.determinants import linalg_matrix_exp as matrix_exp
from distrt.core.ops.linalg.determinants import linalg_matrix_power as matrix_power
from distrt.core.ops.linalg.determinants import linalg_slogdet as slogdet
from distrt.core.ops.linalg.determinants import linalg_vander as vander
from distrt.core.ops.linalg.factorisations import linalg_cholesky as cholesky
from distrt.core.ops.linalg.factorisations import linalg_cholesky_ex as cholesky_ex
from distrt.core.ops.linalg.factorisations import linalg_lu as lu
from distrt.core.ops.linalg.factorisations import linalg_lu_factor as lu_factor
from distrt.core.ops.linalg.factorisations import linalg_lu_factor_ex as lu_factor_ex
from distrt.core.ops.linalg.factorisations import linalg_qr as qr
from distrt.core.ops.linalg.householder import linalg_householder_product as householder_product
from distrt.core.ops.linalg.matrix import matmul
from distrt.core.ops.linalg.norms import linalg_matrix_norm as matrix_norm
from distrt.core.ops.linalg.norms import linalg_norm as norm
from distrt.core.ops.linalg.norms import linalg_vector_norm as vector_norm
from distrt.core.ops.linalg.products import linalg_cross as cross
from distrt.core.ops.linalg.products import linalg_vecdot as vecdot
from distrt.core.ops.linalg.pseudo_inverse import linalg_cond as cond
from distrt.core.ops.linalg.pseudo_inverse import linalg_lstsq as lstsq
from distrt.core.ops.linalg.pseudo_inverse import linalg_matrix_rank as matrix_rank
from distrt.core.ops.linalg.pseudo_inverse import linalg_pinv as pinv
from distrt.core.ops.linalg.solving import linalg_inv as inv
from distrt.core.ops.linalg.solving import linalg_inv_ex as inv_ex
from distrt.core.ops.linalg.solving import linalg_lu_solve as lu_solve
from distrt.core.ops.linalg.solving import linalg_solve as solve
from distrt.core.ops.linalg.solving import linalg_solve_ex as solve_ex
from distrt.core.ops.linalg.solving import linalg_solve_triangular as solve_triangular
from distrt.core.ops.linalg.solving import linalg_tensorinv as tensorinv
from distrt.core.ops.linalg.solving import linalg_tensorsolve as tensorsolve
from distrt.core.ops.linalg.spectral import linalg_eig as eig
from distrt.core.ops.linalg.spectral import linalg_eigh as eigh
from distrt.core.ops.linalg.spectral import linalg_eigvals as eigvals
from distrt.core.ops.linalg.spectral import linalg_eigvalsh as eigvalsh
from distrt.core.ops.linalg.spectral import linalg_svd as svd
from distrt.core.ops.linalg.spectral import linalg_svdvals as svdvals
from distrt.core.tensors import methods as _methods  # noqa: F401

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]


def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:  # noqa: N803
    """The diagonals of ``dim1`` and ``dim2``, a view. Shape: (…, m, n) -> (…, min(m, n))."""
    return ops.diagonal(A, offset, dim1, dim2)


hand_out(globals())
