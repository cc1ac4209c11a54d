"""Rows for linear algebra: norms, inverses, solutions, determinants. Decompositions are in a file of their own."""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.op_cases import COMPLEX, FLOATS, HALVES, In, row

NUMBERS = (*FLOATS, *COMPLEX)
SQUARE = [In((3, 3)), In((2, 3, 3)), In((3, 3), layout="transposed"), In((0, 3, 3)), In((0, 0)), In((1, 1))]


def well(t: Any, a: Any) -> Any:
    """A matrix that is far from singular: the random part has a norm of about 1 to 2."""
    return 0.4 * a + 3 * eye_like(t, a)


def eye_like(t: Any, a: Any) -> Any:
    """The identity matrix of the same size and dtype."""
    return t.eye(*a.shape[-2:], dtype=a.dtype)


def adjoint(a: Any) -> Any:
    """The conjugate transpose."""
    turned = a.transpose(-1, -2)
    return turned.conj() if a.is_complex() else turned


def hermitian(a: Any) -> Any:
    """A Hermitian matrix."""
    return a + adjoint(a)


def positive(t: Any, a: Any) -> Any:
    """A positive definite matrix."""
    return a @ adjoint(a) + eye_like(t, a)


def factor(t: Any, a: Any) -> Any:
    """The Cholesky factor of a positive definite matrix."""
    return t.linalg.cholesky(positive(t, a))


def spread(t: Any, a: Any) -> Any:
    """A matrix whose eigenvalues, or singular values, are around 0.6, 1.2, 1.8 and so on."""
    return 0.1 * a + 0.6 * eye_like(t, a) * (t.arange(a.shape[-1]) + 1)


def turned(t: Any, a: Any) -> Any:
    """A matrix that is far from singular, and whose largest elements are not on the diagonal."""
    return t.roll(well(t, a), 1, -2)


# -- norms

BATCHES = [In((3, 4)), In((2, 4, 3)), In((3, 2), layout="transposed")]
APART = [In((3, 4), "apart"), In((2, 4, 3), "apart")]
for order in (0, 0.5, 1, 1.5, 2, 3, -1, -2, math.inf, -math.inf):
    row(
        f"linalg_vector_norm.{order}",
        lambda t, a, o=order: (t.linalg.vector_norm(a, o), t.linalg.vector_norm(a, o, dim=-1, keepdim=True)),
        [In((3, 4), "nonzero"), In((2, 3, 2), "nonzero", "strided"), In((), "nonzero")],
        dtypes=NUMBERS,
        covers="_vector_norm",
        order=1 if order in (0, 1) else 2,
    )
row("linalg_vector_norm of half", lambda t, a: t.linalg.vector_norm(a, dim=0), BATCHES, dtypes=HALVES)
row(
    "linalg_vector_norm of nothing",
    lambda t, a: t.linalg.vector_norm(a),
    [In((0,)), In((0, 3))],
    smooth=False,
)
for order in (0, 0.5, 1, 1.5, 2, 3):
    row(
        f"linalg_vector_norm.{order} with zeros",
        lambda t, a, o=order: t.linalg.vector_norm(a, o, dim=1),
        [In((5, 3), "ties")],
        smooth=False,
        order=1,
    )
row(
    "linalg_vector_norm of ties",
    lambda t, a: (t.linalg.vector_norm(a, math.inf, 1), t.linalg.vector_norm(a, -math.inf, 1)),
    [In((5, 3), "ties")],
    smooth=False,
    order=1,
)
row(
    "linalg_vector_norm.dtype",
    lambda t, a: t.linalg.vector_norm(a, 3, dtype=t.float64),
    BATCHES,
    smooth=False,
)
for order in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
    row(
        f"linalg_matrix_norm.{order}",
        lambda t, a, o=order: (t.linalg.matrix_norm(a, o), t.linalg.matrix_norm(a, o, (0, -1), True)),
        APART,
        dtypes=NUMBERS,
        order=1
        if abs(order if not isinstance(order, str) else 0) == 1 or order in (math.inf, -math.inf)
        else 2,
    )
row(
    "linalg_norm",
    lambda t, a: (
        t.linalg.norm(a),
        t.linalg.norm(a, 2),
        t.linalg.norm(a, "nuc"),
        t.linalg.norm(a, 3, dim=1),
        t.linalg.norm(a, dim=(0, 1), keepdim=True),
        t.linalg.norm(a[0], 1.5),
    ),
    [In((3, 4), "nonzero")],
    dtypes=NUMBERS,
)

# -- inverses and solutions

row("linalg_inv", lambda t, a: t.linalg.inv(well(t, a)), SQUARE, dtypes=NUMBERS, covers="_inverse")
row("inverse", lambda t, a: (t.inverse(well(t, a)), well(t, a).inverse()), SQUARE[:2], dtypes=NUMBERS)
row(
    "linalg_inv_ex",
    lambda t, a: tuple(t.linalg.inv_ex(well(t, a))),
    SQUARE,
    dtypes=NUMBERS,
    covers="_inverse",
)
row(
    "linalg_solve",
    lambda t, a, b: t.linalg.solve(well(t, a), b),
    [
        (In((3, 3)), In((3,))),
        (In((3, 3)), In((3, 2))),
        (In((2, 3, 3)), In((2, 3))),
        (In((2, 3, 3)), In((3, 2))),
        (In((3, 3)), In((2, 3, 4))),
        (In((3, 3)), In((3, 0))),
        (In((0, 0)), In((0, 2))),
    ],
    dtypes=NUMBERS,
    covers="_solution",
)
row(
    "linalg_solve.right",
    lambda t, a, b: (
        t.linalg.solve(well(t, a), b, left=False),
        *t.linalg.solve_ex(well(t, a), b, left=False),
    ),
    [(In((3, 3)), In((2, 3)))],
    dtypes=NUMBERS,
    covers="linalg_solve_ex",
)
for is_upper in (True, False):
    for is_unit in (True, False):
        row(
            f"linalg_solve_triangular.{is_upper}.{is_unit}",
            lambda t, a, b, u=is_upper, d=is_unit: (
                t.linalg.solve_triangular(well(t, a / 4), b, upper=u, unitriangular=d),
                t.linalg.solve_triangular(
                    well(t, a / 4), b.transpose(-1, -2), upper=u, unitriangular=d, left=False
                ),
            ),
            [(In((3, 3)), In((3, 2))), (In((2, 3, 3)), In((3, 2))), (In((20, 20)), In((20, 2)))],
            dtypes=NUMBERS,
            covers="_triangular_solution",
        )
row(
    "triangular_solve",
    lambda t, b, a: (
        *t.triangular_solve(b, well(t, a)),
        *t.triangular_solve(b, well(t, a), upper=False, transpose=True, unitriangular=True),
    ),
    [(In((3, 2)), In((3, 3)))],
    dtypes=NUMBERS,
)
row(
    "cholesky_solve",
    lambda t, b, a: (t.cholesky_solve(b, factor(t, a)), b.cholesky_solve(adjoint(factor(t, a)), upper=True)),
    [(In((3, 2)), In((3, 3))), (In((2, 3, 2)), In((2, 3, 3)))],
    dtypes=NUMBERS,
)
row(
    "cholesky_inverse",
    lambda t, a: (t.cholesky_inverse(factor(t, a)), adjoint(factor(t, a)).cholesky_inverse(upper=True)),
    [In((3, 3)), In((2, 3, 3))],
    dtypes=NUMBERS,
)
row(
    "linalg_lu_solve",
    lambda t, a, b: (
        t.linalg.lu_solve(*t.linalg.lu_factor(well(t, a)), b),
        t.linalg.lu_solve(*t.linalg.lu_factor(well(t, a)), b, adjoint=True),
        t.linalg.lu_solve(*t.linalg.lu_factor(well(t, a)), b.transpose(-1, -2), left=False),
    ),
    [(In((3, 3)), In((3, 2))), (In((2, 3, 3)), In((2, 3, 2)))],
    dtypes=NUMBERS,
)
row(
    "lu_solve",
    lambda t, a, b: t.lu_solve(b, *t.linalg.lu_factor(well(t, a))),
    [(In((3, 3)), In((3, 2)))],
    dtypes=NUMBERS,
)
row(
    "linalg_tensorinv",
    lambda t, a: t.linalg.tensorinv(well(t, a).reshape(2, 3, 6)),
    [In((6, 6))],
    dtypes=NUMBERS,
)
row(
    "linalg_tensorsolve",
    lambda t, a, b: (
        t.linalg.tensorsolve(well(t, a).reshape(2, 3, 6), b),
        t.linalg.tensorsolve(well(t, a).reshape(2, 3, 2, 3), b, dims=(0, 1)),
    ),
    [(In((6, 6)), In((2, 3)))],
    dtypes=NUMBERS,
)

# -- pseudo-inverse, least squares, rank

TALL_AND_WIDE = [In((4, 3)), In((3, 4)), In((2, 4, 3)), In((3, 3))]
row(
    "linalg_pinv",
    lambda t, a: t.linalg.pinv(well(t, a)),
    [*TALL_AND_WIDE, In((0, 3)), In((2, 3, 0))],
    dtypes=NUMBERS,
    covers="_pinv",
)
row(
    "linalg_pinv.hermitian",
    lambda t, a: t.linalg.pinv(positive(t, a), hermitian=True),
    SQUARE[:2],
    dtypes=NUMBERS,
)
row(
    "linalg_pinv.atol",
    lambda t, a: t.linalg.pinv(well(t, a), atol=1e-3, rtol=1e-4),
    TALL_AND_WIDE[:1],
    dtypes=NUMBERS,
)
row(
    "pinverse",
    lambda t, a: (t.pinverse(well(t, a)), well(t, a).pinverse(1e-5)),
    TALL_AND_WIDE[:2],
    dtypes=NUMBERS,
)
for driver in (None, "gels", "gelsd"):
    row(
        f"linalg_lstsq.{driver}",
        lambda t, a, b, d=driver: tuple(t.linalg.lstsq(a, b, driver=d)),
        [
            (In((4, 2)), In((4, 3))),
            (In((2, 4, 2)), In((2, 4, 3))),
            (In((4, 2)), In((4,))),
            (In((3, 3)), In((3, 2))),
        ],
        dtypes=("float64", "complex128"),
        order=1,
        smooth=False,
        covers="linalg_lstsq",
    )
row(
    "linalg_lstsq, smooth",
    lambda t, a, b: t.linalg.lstsq(a, b).solution,
    [(In((4, 2)), In((4, 3))), (In((2, 4)), In((2, 3)))],
    dtypes=("float64",),
)
row(
    "linalg_matrix_rank",
    lambda t, a: (
        t.linalg.matrix_rank(a),
        t.linalg.matrix_rank(a, atol=1.0),
        t.linalg.matrix_rank(a, rtol=0.7),
        t.linalg.matrix_rank(a, tol=1.0),
        t.linalg.matrix_rank(a @ adjoint(a), hermitian=True, atol=0.3),
    ),
    [In((3, 4)), In((2, 4, 3)), In((0, 3))],
    dtypes=NUMBERS,
    smooth=False,
)
for order in (None, 2, -2, "nuc"):
    row(
        f"linalg_cond.{order}",
        lambda t, a, p=order: t.linalg.cond(well(t, a), p),
        [In((3, 3)), In((2, 3, 3))],
        dtypes=NUMBERS,
        order=1,
        smooth=False,
    )
for order in ("fro", 1, -math.inf):  # PyTorch 2.13 cannot differentiate these
    row(
        f"linalg_cond.{order}",
        lambda t, a, p=order: (
            t.linalg.cond(well(t, a).detach(), p),
            t.linalg.cond(t.ones(2, 2, dtype=a.dtype), p),
        ),
        [In((3, 3)), In((2, 3, 3)), In((0, 0)), In((2, 0, 0))],
        dtypes=NUMBERS,
        smooth=False,
    )

# -- determinants, powers, the exponential

row("linalg_det", lambda t, a: t.linalg.det(turned(t, a)), SQUARE[:5], dtypes=NUMBERS, covers="_det")
row("linalg_det of one", lambda t, a: t.linalg.det(a), SQUARE[5:], dtypes=NUMBERS, order=1, covers="_det")
row("det", lambda t, a: (t.det(turned(t, a)), turned(t, a).det()), SQUARE[:2])
row(
    "det of a singular matrix",
    lambda t, a: t.det(a @ eye_like(t, a)[:, :2] @ eye_like(t, a)[:2]),
    [In((3, 3))],
    dtypes=("float64", "complex128"),
    smooth=False,
    order=1,
    covers="_det",
)
row(
    "linalg_slogdet",
    lambda t, a: tuple(t.linalg.slogdet(turned(t, a))),
    SQUARE[:4],
    dtypes=NUMBERS,
    covers="_slogdet",
)
row(
    "slogdet",
    lambda t, a: (*t.slogdet(turned(t, a)), turned(t, a).slogdet().logabsdet),
    SQUARE[:2],
    dtypes=NUMBERS,
)
row("logdet", lambda t, a: (t.logdet(positive(t, a)), positive(t, a).logdet()), SQUARE[:2], dtypes=NUMBERS)
for exponent in (-2, -1, 0, 1, 2, 3, 6):
    row(
        f"linalg_matrix_power.{exponent}",
        lambda t, a, n=exponent: t.linalg.matrix_power(well(t, a), n) * 1,
        SQUARE[:3],
        dtypes=NUMBERS,
        covers="linalg_matrix_power",
    )
row(
    "matrix_power",
    lambda t, a: (t.matrix_power(a, 3), a.matrix_power(2)),
    SQUARE[:2],
    dtypes=(*NUMBERS, "int64"),
)
row(
    "linalg_matrix_exp",
    lambda t, a: (t.linalg.matrix_exp(a), t.linalg.matrix_exp(9 * a)),
    [*SQUARE[:4], In((1, 1))],
    dtypes=("float64", "complex128"),
)
row(
    "matrix_exp",
    lambda t, a: (t.matrix_exp(a / 16), (a / 16).matrix_exp()),
    SQUARE[:3],
    dtypes=NUMBERS,
    covers="linalg_matrix_exp",
)
row(
    "linalg_vander",
    lambda t, a: (t.linalg.vander(a), t.linalg.vander(a, N=4)),
    [In((3,)), In((2, 3))],
    dtypes=(*NUMBERS, "int64", "int32"),
)
row(
    "vander",
    # PyTorch cannot differentiate it.
    lambda t, a: tuple(t.vander(a.detach(), *how) for how in ((), (4, True), (0,))),
    [In((3,)), In((1,))],
    dtypes=(*NUMBERS, "int64", "int32"),
    smooth=False,
)
