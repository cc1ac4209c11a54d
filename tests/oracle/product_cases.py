"""Rows for matrix products and ``einsum``."""

from __future__ import annotations

from tests.oracle.op_cases import COMPLEX, FLOATS, In, row

NUMBERS = (*FLOATS, *COMPLEX)
PRODUCT = (*NUMBERS, "float16", "bfloat16", "int64", "uint8")

# -- products

MATRIX_VECTOR = [(In((2, 3)), In((3,))), (In((0, 3)), In((3,)))]
row("mv", lambda t, a, b: t.mv(a, b), MATRIX_VECTOR, dtypes=PRODUCT, covers="mv _matrix_vector")
row(
    "matmul of a vector",
    lambda t, a, b: a @ b,
    [(In((4, 2, 3)), In((3,))), (In((2, 3), layout="transposed"), In((3,))), (In((0, 2, 3)), In((3,)))],
    dtypes=PRODUCT,
    covers="matmul",
)
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
        dtypes=(*NUMBERS, "int64", "bool"),
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
    "addmm with factors in tensors",
    lambda t, i, a, b: t.addmm(i, a, b, beta=t.tensor(2.0), alpha=t.tensor(0.5)),
    [(In((4,)), In((2, 3)), In((3, 4)))],
    covers="addmm",
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
    covers="diagonal _on_diagonal",
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

row(
    "linear of a vector of weights",
    lambda t, a, w: t.nn.functional.linear(a, w),
    [(In((2, 3)), In((3,))), (In((2, 4, 3)), In((3,))), (In((3,)), In((3,)))],
    covers="linear",
)
row(
    "linear with another bias",
    lambda t, a, w, b: t.nn.functional.linear(a, w, b),
    [(In((2, 3)), In((4, 3)), In((1,))), (In((2, 3)), In((4, 3)), In(()))],
    covers="linear",
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
