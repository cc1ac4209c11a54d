"""Rows for decompositions.

What one leaves open (signs, phases, a basis) is taken out before anything is compared: rows look at projections,
products and values only.
"""

from __future__ import annotations

from typing import Any

from tests.oracle.linalg_cases import NUMBERS, SQUARE, adjoint, eye_like, hermitian, positive, spread, turned
from tests.oracle.op_cases import In, row

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
    lambda t, a: tuple(t.linalg.qr(turned(t, a))),
    ANY,
    dtypes=NUMBERS,
)
row("linalg_qr.complete", lambda t, a: tuple(t.linalg.qr(turned(t, a), "complete")), ANY[1:3], dtypes=NUMBERS)
row(
    "linalg_qr of a tall one",
    lambda t, a: tuple(t.linalg.qr(a.detach(), "complete")) + tuple(t.linalg.qr(a.detach(), mode="r")),
    ANY[:1],
    dtypes=NUMBERS,
    smooth=False,
)
row("qr", lambda t, a: (*t.qr(turned(t, a)), *turned(t, a).qr()), ANY[:2], dtypes=NUMBERS)
row(
    "linalg_lu",
    lambda t, a: tuple(t.linalg.lu(turned(t, a))),
    [*ANY, In((0, 3)), In((3, 0))],
    dtypes=NUMBERS,
    covers="_lu_factor",
)
row(  # in float32, the rounding of 20 eliminations is larger than the tolerance of the table
    "linalg_lu of larger ones",
    lambda t, a: tuple(t.linalg.lu(turned(t, a))),
    [In((20, 25)), In((40, 20))],
    dtypes=("float64", "complex128"),
    covers="_lu_factor",
)
row(
    "linalg_lu_factor",
    lambda t, a: (*t.linalg.lu_factor(turned(t, a)), *t.linalg.lu_factor_ex(turned(t, a))),
    [In((3, 3)), In((2, 3, 3))],
    dtypes=NUMBERS,
    covers="linalg_lu_factor_ex",
)
row(
    "lu",
    lambda t, a: (*t.lu(turned(t, a)), *t.lu(turned(t, a), get_infos=True), *turned(t, a).lu()),
    [In((3, 3))],
    dtypes=NUMBERS,
)
row(
    "lu_unpack",
    lambda t, a: tuple(t.lu_unpack(*t.linalg.lu_factor(turned(t, a)))),
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
    u, s, vh = t.linalg.svd(spread(t, a), full_matrices=False)
    both = u[..., :1] @ vh[..., :1, :]
    return s, both, (u * s.unsqueeze(-2).to(u.dtype)) @ vh, u[..., :2] @ adjoint(u[..., :2])


row("linalg_svd", _svd_seen, [*ANY[:3], In((4, 3), layout="transposed")], dtypes=NUMBERS)
row(
    "linalg_svd.full",
    lambda t, a: (
        t.linalg.svd(spread(t, a))[1],
        *(each @ adjoint(each).detach() for each in t.linalg.svd(a.detach())[::2]),
    ),
    [*ANY, In((0, 3))],
    dtypes=NUMBERS,
    covers="linalg_svd",
)
row("linalg_svdvals", lambda t, a: t.linalg.svdvals(spread(t, a)), ANY, dtypes=NUMBERS)
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
        (lambda u, s, v: u[..., :1] @ adjoint(v[..., :1]))(*t.svd(spread(t, a))),
        spread(t, a).svd().S,
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

row(
    "geqrf",
    lambda t, a: (*t.geqrf(a.detach()), *a.detach().geqrf()),
    [In((4, 3)), In((3, 4)), In((2, 3, 3))],
    dtypes=NUMBERS,
    smooth=False,
)
row(
    "ormqr",
    lambda t, a, b, c: tuple(
        each
        for adjoined in (False, True)
        for each in (t.ormqr(a, b, c, True, adjoined), a.ormqr(b, c.transpose(-1, -2), False, adjoined))
    ),
    [(In((4, 3)), In((3,)), In((4, 2))), (In((2, 3, 3)), In((2, 3)), In((2, 3, 2)))],
    dtypes=NUMBERS,
)


def _low_rank_seen(t: Any, a: Any) -> Any:
    """With as many values as the matrix has, the random projection leaves nothing out."""
    a = spread(t, a)
    found = []
    for u, s, v in (
        t.svd_lowrank(a, 3),
        t.pca_lowrank(a.detach(), 3, niter=1),
        t.svd_lowrank(a, 3, M=a * 0.5),
    ):
        found += [s, (u * s.unsqueeze(-2)) @ adjoint(v)]
    return found


row(
    "svd_lowrank",
    _low_rank_seen,
    [In((5, 3)), In((3, 5)), In((2, 4, 3))],
    order=1,
    smooth=False,
    covers="pca_lowrank",
)
