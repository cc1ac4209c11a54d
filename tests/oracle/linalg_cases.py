"""Rows for matrix products, ``einsum`` and linear algebra.

What a decomposition leaves open (signs, phases, a basis) is taken out before anything is compared: rows look
at projections, products and values only.
"""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.op_cases import COMPLEX, FLOATS, HALVES, In, row

NUMBERS = (*FLOATS, *COMPLEX)
PRODUCT = (*NUMBERS, "float16", "bfloat16", "int64", "uint8")


def well(t: Any, a: Any) -> Any:
    """A matrix that is far from singular."""
    return a + 3 * eye_like(t, a)


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
    """The same matrix with its eigenvalues pulled apart."""
    return 0.2 * a + 2 * eye_like(t, a) * t.arange(a.shape[-1])


# -- products

row("mv", lambda t, a, b: t.mv(a, b), [(In((2, 3)), In((3,))), (In((0, 3)), In((3,)))], dtypes=PRODUCT)
VECTORS = [(In((3,)), In((3,))), (In((0,)), In((0,))), (In((3,), layout="strided"), In((3,)))]
row("vdot", lambda t, a, b: t.vdot(a, b), VECTORS, dtypes=PRODUCT)
row("dot of complex vectors", lambda t, a, b: a.dot(b), VECTORS, dtypes=PRODUCT, covers="dot _dot")
row("outer", lambda t, a, b: t.outer(a, b), [(In((3,)), In((4,))), (In((0,)), In((2,)))], dtypes=PRODUCT)
row("ger", lambda t, a, b: a.ger(b), [(In((3,)), In((4,)))], dtypes=NUMBERS)
row(
    "inner",
    lambda t, a, b: t.inner(a, b),
    [(In((3,)), In((3,))), (In((2, 3)), In((4, 5, 3))), (In((2, 3)), In(())), (In((2, 0)), In((4, 0)))],
    dtypes=NUMBERS,
)
for scales in ({}, {"beta": 2, "alpha": 3}, {"beta": 0}):
    row(
        f"addmm.{scales}",
        lambda t, i, a, b, k=scales: t.addmm(i, a, b, **k),
        [
            (In((2, 4)), In((2, 3)), In((3, 4))),
            (In((4,)), In((2, 3), layout="transposed"), In((3, 4))),
            (In(()), In((2, 0)), In((0, 4))),
        ],
        dtypes=(*NUMBERS, "int64"),
        covers="addmm _add_product",
    )
    row(
        f"addmv.{scales}",
        lambda t, i, a, b, k=scales: i.addmv(a, b, **k),
        [(In((2,)), In((2, 3)), In((3,))), (In(()), In((2, 3)), In((3,)))],
        dtypes=(*NUMBERS, "int64"),
        covers="addmv",
    )
    row(
        f"addr.{scales}",
        lambda t, i, a, b, k=scales: t.addr(i, a, b, **k),
        [(In((2, 3)), In((2,)), In((3,))), (In((3,)), In((2,)), In((3,)))],
        dtypes=(*NUMBERS, "int64"),
        covers="addr",
    )
    row(
        f"baddbmm.{scales}",
        lambda t, i, a, b, k=scales: t.baddbmm(i, a, b, **k),
        [(In((2, 3, 5)), In((2, 3, 4)), In((2, 4, 5))), (In((5,)), In((2, 3, 4)), In((2, 4, 5)))],
        dtypes=(*NUMBERS, "int64"),
        covers="baddbmm",
    )
    row(
        f"addbmm.{scales}",
        lambda t, i, a, b, k=scales: t.addbmm(i, a, b, **k),
        [(In((3, 5)), In((2, 3, 4)), In((2, 4, 5))), (In((5,)), In((2, 3, 4)), In((2, 4, 5)))],
        dtypes=(*NUMBERS, "int64"),
        covers="addbmm",
    )
row(
    "in-place products",
    lambda t, i, a, b: (
        i.clone().addmm_(a, b, beta=0.5),
        i[0].clone().addmv_(b.t(), a[1], alpha=2),
        i.clone().addr_(a[:, 0], b[0]),
        i[None].clone().baddbmm_(a[None], b[None]),
        i.clone().addbmm_(a[None], b[None], alpha=3),
    ),
    [(In((2, 4)), In((2, 3)), In((3, 4)))],
    covers="addmm_ addmv_ addr_ baddbmm_ addbmm_ addmm addmv addr baddbmm addbmm",
)
row(
    "products in half precision",
    lambda t, a, b: (t.addmm(b, a, b), t.outer(a[0], b[0]), t.kron(a, b), t.tensordot(a, b, 1)),
    [(In((3, 3)), In((3, 3)))],
    dtypes=("float16", "bfloat16"),
)
CHAIN = [(In((2, 5)), In((5, 3)), In((3, 4)))]
row("chain_matmul", lambda t, a, b, c: t.chain_matmul(a, b, c), CHAIN, dtypes=NUMBERS)
row(
    "linalg_multi_dot",
    lambda t, a, b, c: t.linalg.multi_dot([a, b, c]),
    [
        *CHAIN,
        (In((5,)), In((5, 3)), In((3, 4))),
        (In((2, 5)), In((5, 3)), In((3,))),
        (In((5,)), In((5, 3)), In((3,))),
    ],
    dtypes=NUMBERS,
)
row("linalg_multi_dot.two", lambda t, a, b: t.linalg.multi_dot((a, b)), [(In((2, 3)), In((3, 4)))])
row(
    "tensordot",
    lambda t, a, b: t.tensordot(a, b, 2),
    [(In((5, 2, 3)), In((2, 3, 4))), (In((2, 3)), In((2, 3)))],
    dtypes=NUMBERS,
)
row(
    "tensordot.dims",
    lambda t, a, b: (t.tensordot(a, b, dims=([0, -1], [1, 0])), t.tensordot(a, b, dims=0)),
    [(In((2, 4, 3)), In((3, 2, 2))), (In((2, 4, 1)), In((3, 2, 2)))],
    covers="tensordot",
)
row(
    "kron",
    lambda t, a, b: t.kron(a, b),
    [(In((2, 3)), In((3, 2))), (In((2, 3)), In((3,))), (In(()), In((2,))), (In((2, 0)), In((2, 2)))],
    dtypes=(*NUMBERS, "int64"),
)
row(
    "trace",
    lambda t, a: (t.trace(a), a.trace()),
    [In((3, 3)), In((2, 3)), In((0, 0))],
    dtypes=(*NUMBERS, "int64", "float16"),
    covers="matrix_diagonal diagonal_matrix",
)
row(
    "cross",
    lambda t, a, b: (t.cross(a, b), a.cross(b, -1)),
    [(In((3, 3)), In((3, 3))), (In((2, 3)), In((2, 3)))],
    dtypes=(*NUMBERS, "int64"),
    covers="_cross",
)
row(
    "linalg_cross",
    lambda t, a, b: t.linalg.cross(a, b, dim=1),
    [(In((2, 3, 2)), In((2, 3, 1)))],
    dtypes=NUMBERS,
    covers="_cross",
)
row(
    "linalg_vecdot",
    lambda t, a, b: (t.linalg.vecdot(a, b), t.linalg.vecdot(a, b, dim=0)),
    [(In((2, 3)), In((2, 3))), (In((2, 3)), In((2, 1)))],
    dtypes=NUMBERS,
)

# -- einsum

EQUATIONS = {
    "ij,jk->ik": [(In((2, 3)), In((3, 4)))],
    "bij,bjk": [(In((2, 2, 3)), In((2, 3, 4)))],
    "bhqd,bhkd->bhqk": [(In((2, 3, 4, 5)), In((2, 3, 2, 5)))],
    "bqd,dk->bqk": [(In((2, 3, 4)), In((4, 5)))],
    "...ij,...jk->...ik": [(In((2, 2, 3)), In((2, 3, 4))), (In((5, 1, 2, 3)), In((2, 3, 4)))],
    "i,j": [(In((3,)), In((4,)))],
    "ij,kj": [(In((2, 3)), In((4, 1)))],
    "ij,j->i": [(In((2, 3)), In((1,))), (In((2, 3), layout="transposed"), In((3,)))],
    "ijk,jl,kl->il": [(In((2, 3, 4)), In((3, 5)), In((4, 5)))],
    "a,ab,b->": [(In((2,)), In((2, 3)), In((3,)))],
    "iij,j->i": [(In((3, 3, 2)), In((2,)))],
    ",ij->ji": [(In(()), In((2, 3)))],
    "Ab,bC": [(In((2, 3)), In((3, 2)))],
    "ib,ob,oi->b": [(In((2, 3)), In((4, 3)), In((4, 2)))],
    "ij,ik->jk": [(In((0, 3)), In((0, 2)))],
    "b a, b -> a": [(In((2, 3)), In((2,)))],
}
for equation, cases in EQUATIONS.items():
    row(
        f"einsum {equation}",
        lambda t, *o, e=equation: t.einsum(e, *o),
        cases,
        dtypes=NUMBERS,
        covers="einsum",
    )
SINGLE = {
    "ii->i": [In((3, 3))],
    "ii": [In((3, 3))],
    "iij->j": [In((2, 2, 3))],
    "ij->": [In((2, 3))],
    "ba": [In((2, 3))],
    "i...->...": [In((2, 3, 4))],
    "...i": [In((2, 3, 4))],
    "ijij->ij": [In((2, 3, 2, 3))],
    "ij": [In((2, 3)), In((2, 0))],
}
for equation, cases in SINGLE.items():
    row(
        f"einsum {equation}",
        lambda t, a, e=equation: t.einsum(e, a) * 1,
        cases,
        dtypes=NUMBERS,
        covers="einsum",
    )
row(
    "einsum of lists",
    lambda t, a, b: (
        t.einsum(a, [0, 1], b, [1, 2], [2, 0]),
        t.einsum(a, [0, 1], b, [1, 2]),
        t.einsum(a, [..., 1], b, [1, ...], [...]),
        t.einsum("ij,jk", [a, b]),
        t.einsum("ij,jk->k", (a, b)),
    ),
    [(In((2, 3)), In((3, 2)))],
    covers="einsum",
)
row(
    "einsum of integers",
    lambda t, a, b: (t.einsum("ij,jk", a, b), t.einsum("ij->i", a), t.einsum("i,j", a[0], b[0])),
    [(In((2, 3)), In((3, 2)))],
    dtypes=("int64", "float16", "bfloat16"),
    covers="einsum",
)

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

SQUARE = [In((3, 3)), In((2, 3, 3)), In((3, 3), layout="transposed"), In((0, 3, 3)), In((0, 0)), In((1, 1))]
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
                t.linalg.solve_triangular(well(t, a), b, upper=u, unitriangular=d),
                t.linalg.solve_triangular(
                    well(t, a), b.transpose(-1, -2), upper=u, unitriangular=d, left=False
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
    lambda t, a: t.linalg.pinv(a),
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
    "linalg_pinv.atol", lambda t, a: t.linalg.pinv(a, atol=1e-3, rtol=1e-4), TALL_AND_WIDE[:1], dtypes=NUMBERS
)
row("pinverse", lambda t, a: (t.pinverse(a), a.pinverse(1e-5)), TALL_AND_WIDE[:2], dtypes=NUMBERS)
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
        [In((3, 3)), In((2, 3, 3))],
        dtypes=NUMBERS,
        smooth=False,
    )

# -- determinants, powers, the exponential

row("linalg_det", lambda t, a: t.linalg.det(a), SQUARE[:5], dtypes=NUMBERS, covers="_det")
row("linalg_det of one", lambda t, a: t.linalg.det(a), SQUARE[5:], dtypes=NUMBERS, order=1, covers="_det")
row("det", lambda t, a: (t.det(a), a.det()), SQUARE[:2])
row(
    "det of a singular matrix",
    lambda t, a: t.det(a @ eye_like(t, a)[:, :2] @ eye_like(t, a)[:2]),
    [In((3, 3))],
    dtypes=("float64", "complex128"),
    smooth=False,
    order=1,
    covers="_det",
)
row("linalg_slogdet", lambda t, a: tuple(t.linalg.slogdet(a)), SQUARE[:4], dtypes=NUMBERS, covers="_slogdet")
row("slogdet", lambda t, a: (*t.slogdet(a), a.slogdet().logabsdet), SQUARE[:2], dtypes=NUMBERS)
row("logdet", lambda t, a: (t.logdet(positive(t, a)), positive(t, a).logdet()), SQUARE[:2], dtypes=NUMBERS)
for exponent in (-2, -1, 0, 1, 2, 3, 6):
    row(
        f"linalg_matrix_power.{exponent}",
        lambda t, a, n=exponent: t.linalg.matrix_power(well(t, a), n) * 1,
        SQUARE[:3],
        dtypes=NUMBERS,
        covers="linalg_matrix_power",
    )
row("matrix_power", lambda t, a: (t.matrix_power(a, 3), a.matrix_power(2)), SQUARE[:2], dtypes=PRODUCT)
row(
    "linalg_matrix_exp",
    lambda t, a: (t.linalg.matrix_exp(a), t.linalg.matrix_exp(9 * a)),
    [*SQUARE[:4], In((1, 1))],
    dtypes=("float64", "complex128"),
)
row(
    "matrix_exp",
    lambda t, a: (t.matrix_exp(a / 4), (a / 4).matrix_exp()),
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

# -- decompositions

row(
    "linalg_cholesky",
    lambda t, a: (t.linalg.cholesky(positive(t, a)), t.linalg.cholesky(positive(t, a), upper=True)),
    [*SQUARE[:4], In((20, 20))],
    dtypes=NUMBERS,
    covers="_cholesky",
)
row(
    "cholesky",
    lambda t, a: (t.cholesky(positive(t, a)), positive(t, a).cholesky(True)),
    SQUARE[:2],
    dtypes=NUMBERS,
)
row(
    "linalg_cholesky_ex",
    lambda t, a: (*t.linalg.cholesky_ex(positive(t, a)), t.linalg.cholesky_ex(a - 20 * eye_like(t, a)).info),
    SQUARE[:3],
    dtypes=NUMBERS,
)
ANY = [In((4, 3)), In((3, 4)), In((2, 3, 3)), In((0, 4, 3))]
row(
    "linalg_qr",
    lambda t, a: tuple(t.linalg.qr(a)),
    ANY,
    dtypes=NUMBERS,
)
row("linalg_qr.complete", lambda t, a: tuple(t.linalg.qr(a, "complete")), ANY[1:3], dtypes=NUMBERS)
row(
    "linalg_qr of a tall one",
    lambda t, a: tuple(t.linalg.qr(a.detach(), "complete")) + tuple(t.linalg.qr(a.detach(), mode="r")),
    ANY[:1],
    dtypes=NUMBERS,
    smooth=False,
)
row("qr", lambda t, a: (*t.qr(a), *a.qr()), ANY[:2], dtypes=NUMBERS)
row(
    "linalg_lu",
    lambda t, a: tuple(t.linalg.lu(a)),
    [*ANY, In((20, 25)), In((40, 20))],
    dtypes=NUMBERS,
    covers="_lu_factor",
)
row(
    "linalg_lu_factor",
    lambda t, a: (*t.linalg.lu_factor(a), *t.linalg.lu_factor_ex(a)),
    [In((3, 3)), In((2, 3, 3))],
    dtypes=NUMBERS,
    covers="linalg_lu_factor_ex",
)
row("lu", lambda t, a: (*t.lu(a), *t.lu(a, get_infos=True), *a.lu()), [In((3, 3))], dtypes=NUMBERS)
row(
    "lu_unpack",
    lambda t, a: tuple(t.lu_unpack(*t.linalg.lu_factor(a))),
    [In((3, 3)), In((2, 4, 3))],
    dtypes=NUMBERS,
)
row(
    "linalg_householder_product",
    lambda t, a, b: t.linalg.householder_product(a, b),
    [(In((4, 3)), In((3,))), (In((2, 4, 3)), In((2, 2)))],
    dtypes=NUMBERS,
)
row("orgqr", lambda t, a, b: (t.orgqr(a, b), a.orgqr(b)), [(In((4, 3)), In((3,)))], dtypes=NUMBERS)


def _svd_seen(t: Any, a: Any) -> Any:
    """The projection on the first singular vectors of both sides, and what the decomposition gives back."""
    u, s, vh = t.linalg.svd(a, full_matrices=False)
    both = u[..., :1] @ vh[..., :1, :]
    return s, both, (u * s.unsqueeze(-2).to(u.dtype)) @ vh, u[..., :2] @ adjoint(u[..., :2])


row("linalg_svd", _svd_seen, [*ANY[:3], In((4, 3), layout="transposed")], dtypes=NUMBERS)
row(
    "linalg_svd.full",
    lambda t, a: (
        t.linalg.svd(a)[1],
        *(each @ adjoint(each).detach() for each in t.linalg.svd(a.detach())[::2]),
    ),
    [*ANY, In((0, 3))],
    dtypes=NUMBERS,
    covers="linalg_svd",
)
row("linalg_svdvals", lambda t, a: t.linalg.svdvals(a), ANY, dtypes=NUMBERS)
row(
    "values that nobody differentiates",
    lambda t, a: (
        t.linalg.svdvals(a.detach()),
        t.linalg.eigvalsh(hermitian(a).detach(), "U"),
        (t.linalg.eigvals(spread(t, a).detach()) ** 2).sum(-1),
    ),
    SQUARE[:4],
    dtypes=NUMBERS,
    covers="_svdvals _eigvalsh _eigvals",
    smooth=False,
)
row(
    "svd",
    lambda t, a: (
        (lambda u, s, v: u[..., :1] @ adjoint(v[..., :1]))(*t.svd(a)),
        a.svd().S,
        *t.svd(a, compute_uv=False),
    ),
    ANY[:3],
    dtypes=NUMBERS,
)


def _eigh_seen(t: Any, a: Any) -> Any:
    values, vectors = t.linalg.eigh(spread(t, hermitian(a)))
    first = vectors[..., :1]
    return values, first @ adjoint(first), t.linalg.eigh(spread(t, hermitian(a)), UPLO="U").eigenvalues


row("linalg_eigh", _eigh_seen, SQUARE[:4], dtypes=NUMBERS)
row("linalg_eigvalsh", lambda t, a: t.linalg.eigvalsh(hermitian(a)), SQUARE[:4], dtypes=NUMBERS)


def _eig_seen(t: Any, a: Any) -> Any:
    values, vectors = t.linalg.eig(spread(t, a))
    size = a.shape[-1]
    moments = [(values**n).sum(-1) for n in range(1, size + 1)]
    return (*moments, (vectors * (values**2).unsqueeze(-2)) @ t.linalg.inv(vectors))


row("linalg_eig", _eig_seen, [In((3, 3)), In((2, 3, 3))], dtypes=NUMBERS)
row(
    "linalg_eig, its vectors",
    lambda t, a: (lambda values, v: (v * v.conj()).sum((-1, -2)) + (values * values.conj()).sum(-1))(
        *t.linalg.eig(spread(t, a))
    ),
    [In((3, 3))],
    dtypes=NUMBERS,
    order=1,
)
row(
    "linalg_eigvals",
    lambda t, a: (t.linalg.eigvals(spread(t, a)).sum(-1), (t.linalg.eigvals(spread(t, a)) ** 3).sum(-1)),
    [In((3, 3)), In((2, 3, 3))],
    dtypes=NUMBERS,
)
