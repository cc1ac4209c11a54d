"""Rows of the op table: picking and placing by index tensors, by slices, by masks and by place."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import COMPLEX, EVERY, FLOATS, HALVES, In, row

WIDE = (*EVERY, *COMPLEX)
SIGNED = (*FLOATS, "int64", "int32")


def index(shape: tuple[int, ...], below: int) -> In:
    return In(shape, f"below {below}", dtype="int64", grad=False)


GATHERS = [
    (In((3, 4)), index((3, 6), 4)),
    (In((3, 4), "normal", "transposed"), index((2, 3), 4)),
    (In((3, 4), "normal", "strided"), index((3, 1), 4)),
    (In((5,)), index((7,), 5)),
    (In(()), index((), 1)),
    (In((3, 4)), index((3, 0), 4)),
]
row(
    "gather",
    lambda t, a, i: (t.gather(a, -1, i), a.gather(-1, i)),
    GATHERS,
    dtypes=WIDE,
    covers="_scatter_add",
)
row(
    "take_along_dim",
    lambda t, a, i: (t.take_along_dim(a, i - 4, 1), a.take_along_dim(i.reshape(-1) % 12)),
    [(In((3, 4)), index((1, 2), 4))],
    covers="gather _scatter_add",
)
SCATTERS = [
    (In((3, 4)), index((3, 6), 4), In((3, 6))),
    (In((3, 4), "normal", "transposed"), index((2, 3), 4), In((2, 3))),
    (In((5,)), index((3,), 5), In((3,), "normal", "strided")),
    (In(()), index((), 1), In(())),
    (In((3, 4)), index((3, 0), 4), In((3, 0))),
]
row(
    "scatter",
    lambda t, a, i, s: (t.scatter(a, -1, i, s), (a * 1).scatter_(-1, i, s)),
    SCATTERS,
    dtypes=FLOATS,
    covers="_scatter gather scatter_",
    smooth=False,  # places are named twice, and one of the values is lost
)
row(
    "placing each once",
    lambda t, a, s: (
        a.scatter(1, t.tensor([[2, 0], [1, 3], [0, 3]]), s),
        a.index_copy(1, t.tensor([3, 0]), s),
        a.put(t.tensor([[0, 11], [5, 3], [2, 1]]), s),
        t.index_put(a, (t.tensor([[2], [0], [1]]), t.tensor([0, 3])), s),
        a.scatter(1, t.tensor([[0, 1]]), 2.0),
    ),
    [(In((3, 4)), In((3, 2))), (In((3, 4), "normal", "strided"), In((3, 2), "normal", "transposed"))],
    covers="_scatter _index_placed _put _index_put",
)
row(
    "scatter of a number",
    lambda t, a, i: (
        t.scatter(a, -1, i, 2),
        a.scatter(-1, i, value=1),
        t.scatter(a, -1, i, 3, reduce="add").detach(),
    ),
    [each[:2] for each in SCATTERS],
    dtypes=(*FLOATS, "int64"),
    covers="_scatter scatter _scatter_into",
    smooth=False,
)
row(
    "scatter_add",
    lambda t, a, i, s: (t.scatter_add(a, -1, i, s), (a * 1).scatter_add_(-1, i, s)),
    SCATTERS,
    dtypes=(*HALVES, *COMPLEX, "int64"),
    covers="_scatter_add gather scatter_add_",
)
row(
    "scatter_add of more than the index names",
    lambda t, a, i, s: (t.scatter_add(a, 0, i, s).detach(), t.scatter(a, 0, i, s).detach()),
    [(In((3, 4)), index((1, 2), 3), In((3, 4)))],
    covers="_scatter_add",
    smooth=False,
)
for reduce in ("sum", "prod", "mean", "amax", "amin"):
    row(
        f"scatter_reduce.{reduce}",
        lambda t, a, i, s, r=reduce: (
            t.scatter_reduce(a, -1, i, s, r),
            a.scatter_reduce(-1, i, s, reduce=r, include_self=False),
            (a * 1).scatter_reduce_(-1, i, s, r),
        ),
        [
            (In((3, 4), "apart"), index((3, 6), 4), In((3, 6), "nonzero")),
            (In((5,), "apart"), index((3,), 5), In((3,), "nonzero")),
            (In(()), index((), 1), In(())),
        ],
        dtypes=FLOATS if reduce in ("prod", "mean") else SIGNED,
        covers="_scatter_reduce scatter_reduce scatter_reduce_",
        order=1 if reduce == "prod" else 2,
    )
row(
    "scatter_reduce of ties and zeros",
    lambda t, a, i, s: tuple(a.scatter_reduce(0, i, s, r) for r in ("amax", "amin", "mean", "sum")),
    [(In((3, 5), "ties"), index((4, 5), 3), In((4, 5), "ties"))],
    smooth=False,
    order=1,
    covers="_scatter_reduce",
)
row(
    "scatter_reduce.prod of a zero",
    lambda t, a, i, s: (a + 3).scatter_reduce(0, i, s * (t.arange(3) - 1), "prod"),
    [(In((4,), "positive"), index((3,), 2), In((3,), "positive"))],
    smooth=False,
    order=1,
    covers="_scatter_reduce",
)

# -- whole slices

PICKS = [
    (In((3, 4)), index((6,), 4)),
    (In((2, 3, 4), "normal", "transposed"), index((2,), 4)),
    (In((3, 4), "normal", "strided"), index((), 4)),
    (In((5,)), index((0,), 5)),
]
row(
    "index_select",
    lambda t, a, i: (t.index_select(a, -1, i), a.index_select(-1, i)),
    [*PICKS, (In(()), index((1,), 1))],
    dtypes=WIDE,
    covers="_index_add",
)
PUTS = [
    (In((3, 4)), index((5,), 4), In((3, 5))),
    (In((4, 3), "normal", "transposed"), index((2,), 3), In((4, 2))),
    (In((5,)), index((1,), 5), In((1,))),
    (In((3, 4)), index((0,), 4), In((3, 0))),
]
row(
    "index_add",
    lambda t, a, i, s: (
        t.index_add(a, -1, i, s),
        a.index_add(-1, i, s, alpha=3),
        (a * 1).index_add_(-1, i, s),
    ),
    PUTS,
    dtypes=(*HALVES, *COMPLEX, "int64"),
    covers="_index_add index_select index_add_",
)
row(
    "index_copy",
    lambda t, a, i, s: (t.index_copy(a, -1, i, s), (a * 1).index_copy_(-1, i, s)),
    PUTS,
    dtypes=(*FLOATS, *COMPLEX, "int64"),
    covers="_index_placed index_select index_copy_ index_fill _index_fill",
    smooth=False,
)
row(
    "index_fill",
    lambda t, a, i: (
        t.index_fill(a, -1, i, 2),
        a.index_fill(-1, i, a.sum().to(a.dtype)),
        (a * 1).index_fill_(-1, i, 0),
    ),
    [each[:2] for each in PUTS],
    dtypes=(*FLOATS, "int64"),
    covers="_index_fill index_fill_",
)

# -- masks

MASK = In((3, 4), dtype="bool", grad=False)
MASKED = [
    (In(), MASK),
    (In((4,)), MASK),
    (In((3, 4), "normal", "transposed"), In((4,), dtype="bool", grad=False)),
    (In(()), In((), dtype="bool", grad=False)),
    (In((0, 3)), In((1, 3), dtype="bool", grad=False)),
]
row(
    "masked_fill",
    lambda t, a, m: (t.masked_fill(a, m, 1), a.masked_fill(m, a.sum().to(a.dtype))),
    MASKED,
    dtypes=(*HALVES, "int64", "bool"),
    covers="_masked_fill",
)
row(
    "masked_fill_",
    lambda t, a, m: (a * 1).masked_fill_(m, 2.5) * a,
    [(In(), MASK)],
    covers="_masked_fill",
)
row(
    "masked_select",
    lambda t, a, m: (t.masked_select(a, m), a.masked_select(m)),
    MASKED,
    dtypes=WIDE,
    covers="_unselected",
)
row(
    "masked_scatter",
    lambda t, a, m, s: t.masked_scatter(a, m, s),
    [(In(), MASK, In((13,))), (In((4,)), MASK, In((4, 3)))],
    dtypes=(*FLOATS, "int64"),
    covers="_masked_scatter masked_select",
)
row(
    "masked_scatter_",
    lambda t, a, m, s: (a * 1).masked_scatter_(m, s),
    [(In(), MASK, In((13,)))],
    covers="_masked_scatter",
)

# -- the row of all elements

row(
    "take",
    lambda t, a, i: (t.take(a, i), a.take(i - 5)),
    [(In((3, 4)), index((2, 3), 12)), (In((3, 4), "normal", "transposed"), index((5,), 12))],
    dtypes=WIDE,
    covers="index_scatter",
)
row(
    "put",
    lambda t, a, i, s: (
        a.put(i, s, accumulate=True),
        t.put(a, i[:1], s[:1]),
        (a * 1).put_(i[1:], s[1:], True),
    ),
    [(In((3, 4)), index((2, 3), 12), In((2, 3)))],
    dtypes=SIGNED,
    covers="_put take put_",
    smooth=False,
)
row(
    "nonzero",
    lambda t, a: (t.nonzero(a), a.nonzero(), t.argwhere(a), *a.nonzero(as_tuple=True)),
    [In((3, 4), "ties"), In((), "ties"), In((0, 3)), In((4, 3), "ties", "transposed")],
    dtypes=EVERY,
    smooth=False,
    covers="argwhere",
)

# -- keys

row(
    "index_put",
    lambda t, a, i, s: (
        t.index_put(a, (i,), s),
        a.index_put((i, t.arange(2)), s[0, :1], accumulate=True),
        (a * 1).index_put_([i], s[0], True),
    ),
    [(In((5, 4)), In((2,), "below 5", dtype="int64", grad=False), In((2, 4)))],
    smooth=False,
    order=1,
    covers="_index_put index_put_ _index_copy",
)
KEYS = {
    "index apart from an int": lambda t, a: (a[0, :, [1, 0]], a[[0, 1], :, 1], a[1, None, [0, 1], 1:]),
    "index by bool and list": lambda t, a: (a[True, [0, 1]], a[:, True, 1:], a[False], a[None, True]),
    "index by numpy": lambda t, a: (a[range(2)], a[t.tensor([True, False, True]), 1], a[:, t.ones(4, 2) > 0]),
    "index by structure": lambda t, a: (a[((0, 1), (1, 2))], a[..., [0, 1]], a[(0, 1),]),
}
for name, run in KEYS.items():
    row(
        name,
        run,
        [In((3, 4, 2)), In((3, 4, 2), "normal", "transposed")],
        covers="index _index_copy index_scatter",
        dtypes=(*FLOATS, "int64"),
    )


def _assigned(a: Any, key: Any, value: Any) -> Any:
    changed = a * 1
    changed[key] = value
    return changed


ASSIGNED = {
    "set apart from an int": lambda t, a, b: _assigned(a, (0, slice(None), [1, 0]), b[:, :2]),
    "set rows by mask": lambda t, a, b: _assigned(a, t.tensor([True, False, True]), b[:, :2]),
    "set by mask to one": lambda t, a, b: _assigned(a, a > 0, b[0, 0]),
    "set in a slice": lambda t, a, b: _assigned(a, (slice(0, 2), [0, 1]), b[0, :2]),
    "set by Ellipsis": lambda t, a, b: _assigned(_assigned(a, (..., 0), b[0, 0]), (None, 1), b[:, :2]),
}
for name, run in ASSIGNED.items():
    row(name, run, [(In((3, 4, 2)), In((4, 3)))], covers="index", smooth=False)


def _added_twice(t: Any, a: Any, b: Any) -> Any:
    changed = a * 1
    changed[t.tensor([0, 0, 1])] += b
    changed[1:] *= b
    return changed


row("augmented item", _added_twice, [(In((3, 4)), In((4,)))], covers="_index_put add mul", smooth=False)

# -- one slice

CUBES = [In((2, 3, 4)), In((2, 3, 4), "normal", "strided"), In((4, 3, 2), "normal", "transposed")]
row("select", lambda t, a: (t.select(a, 1, -1), a.select(-1, 0)), CUBES, dtypes=EVERY, covers="_select_view")
row(
    "narrow",
    lambda t, a: (t.narrow(a, 1, 1, 2), a.narrow(1, -2, 1)),
    CUBES,
    dtypes=EVERY,
    covers="_index_view",
)
row("narrow_copy", lambda t, a: t.narrow_copy(a.detach(), 1, 1, 2), CUBES, dtypes=FLOATS, smooth=False)
row(
    "slice_scatter",
    lambda t, a, b: (t.slice_scatter(a, b, 1, 0, 3, 2), a.slice_scatter(b, 1, start=1)),
    [(In((2, 3, 4)), In((2, 2, 4))), (In((4, 3, 2), "normal", "transposed"), In((4, 2, 2)))],
    dtypes=(*FLOATS, "int64"),
    covers="_scattered",
)
row(
    "select_scatter",
    lambda t, a, b: (t.select_scatter(a, b, 1, -1), a.select_scatter(b, 1, 0)),
    [(In((2, 3, 4)), In((2, 4)))],
    covers="_scattered",
)
for how in ("prod", "mean", "amax", "amin"):
    row(
        f"index_reduce.{how}",
        lambda t, a, i, s, k=how: (
            t.index_reduce(a, 1, i, s, k),
            a.index_reduce(1, i, s, k, include_self=False),
            (a * 1).index_reduce_(-1, i, s, k),
        ),
        [(In((3, 4), "apart"), index((5,), 4), In((3, 5), "nonzero"))],
        covers="index_reduce index_reduce_ _scatter_reduce",
    )
row("fill", lambda t, a, v: (t.fill(a, v), t.fill(a, 2)), [(In((3, 4)), In(()))], covers="masked_fill")
row(
    "nonzero_static",
    lambda t, a: [
        *(t.nonzero_static(a, size=n, fill_value=-7) for n in (0, 3, 30)),
        a.nonzero_static(size=4),
    ],
    [In((3, 4), "ties"), In((), "ties")],
    dtypes=(*FLOATS, "int64", "bool"),
    smooth=False,
)
