"""Rows of the op table: shapes, joining and splitting, repeating, triangles and diagonals, grids."""

from __future__ import annotations

from tests.oracle.op_cases import COMPLEX, EVERY, FLOATS, In, row

WIDE = (*EVERY, *COMPLEX)
CUBES = [In((2, 3, 4)), In((2, 3, 4), "normal", "strided"), In((4, 3, 2), "normal", "transposed")]
SQUARES = [
    In((3, 4)),
    In((2, 3, 4)),
    In((4, 3), "normal", "transposed"),
    In((3, 2), "normal", "strided"),
    In((0, 3)),
]
TWO = [(In((2, 3)), In((2, 3))), (In((3,)), In((3,), "normal", "strided")), (In(()), In(()))]

# -- shapes

row("ravel", lambda t, a: (t.ravel(a), a.ravel()), [*CUBES, In(())], dtypes=EVERY, covers="reshape")
row(
    "unflatten",
    lambda t, a: (t.unflatten(a, 1, (3, -1)), a.unflatten(-3, [1, 2])),
    [In((2, 3, 4))],
    covers="reshape",
)
row("reshape_as", lambda t, a, b: a.reshape_as(b) * b, [(In((6, 2), "normal", "transposed"), In((3, 4)))])
row(
    "movedim",
    lambda t, a: (
        t.movedim(a, 0, -1),
        a.moveaxis((0, 1), (2, 0)),
        t.moveaxis(a, 1, 0),
        a.movedim((0, 1), (1, 2)),
    ),
    CUBES,
    dtypes=EVERY,
    covers="moveaxis permute",
)
row(
    "swapaxes",
    lambda t, a: (t.swapaxes(a, 0, 2), a.swapdims(0, -1), t.swapdims(a, 1, 2), a.swapaxes(1, 1)),
    CUBES,
    covers="swapdims transpose",
)
row("t function", lambda t, a: (t.t(a) * 2, a.t()), [In((3, 4)), In((3,)), In(())], covers="t")
row(
    "adjoint",
    lambda t, a: (t.adjoint(a) * 1, a.adjoint() * 1),
    [In((2, 3)), *CUBES[:1]],
    dtypes=(*FLOATS, *COMPLEX),
)
row(
    "broadcast_to",
    lambda t, a: (t.broadcast_to(a, (2, 3, 4)), a.broadcast_to(3, 4)),
    [In((3, 1)), In((4,)), In(())],
    covers="expand",
)
row(
    "broadcast_tensors",
    lambda t, a, b: t.broadcast_tensors(a, b),
    [(In((3, 1)), In((4,))), (In(()), In((2, 2)))],
    covers="expand broadcast_shapes",
)
row(
    "copies of views",
    lambda t, a: (t.expand_copy(a, (2, 2, 3, 4)), t.permute_copy(a, (2, 0, 1))),
    [In((2, 3, 4))],
    covers="expand_copy permute_copy",
)
row(
    "atleast",
    lambda t, a: (t.atleast_1d(a), t.atleast_2d(a), t.atleast_3d(a), *t.atleast_2d(a, a * 2)),
    [In(()), In((3,)), In((2, 3)), In((2, 1, 2))],
    covers="atleast_1d atleast_2d atleast_3d",
)
row(
    "view as a dtype",
    lambda t, a: (a.detach().view(t.int32), a.detach().view(t.int16), a.detach().view(t.uint8)),
    [In((3, 4)), In((2, 3, 4))],
    dtypes=("float32", "int64", "float64"),
    smooth=False,
    covers="view_dtype",
)


def _turned(t, a):
    changed = a * 2
    changed.unsqueeze_(1).transpose_(0, 2).squeeze_(1).t_()
    return changed.swapaxes_(0, 1).swapdims_(0, 1) * a


row("in place shapes", _turned, [In((3, 4))], covers="unsqueeze squeeze transpose t")

# -- joining

row(
    "concat",
    lambda t, a, b: (t.concat([a, b], 0), t.concatenate((a, b), dim=-1)),
    TWO[:2],
    dtypes=WIDE,
    covers="concatenate cat",
)
row(
    "stacks",
    lambda t, a, b: (
        t.hstack([a, b]),
        t.vstack((a, b)),
        t.row_stack([a, b]),
        t.dstack([a, b]),
        t.column_stack([a, b]),
    ),
    TWO,
    covers="hstack vstack row_stack dstack column_stack",
)
row(
    "block_diag",
    lambda t, a, b: t.block_diag(a, b, a),
    [*TWO, (In((0, 2)), In((1, 1)))],
    dtypes=WIDE,
    covers="_block_diagonal",
)
row(
    "tensor_split",
    lambda t, a: (*t.tensor_split(a, 3, 1), *a.tensor_split((1, -1), -1), *a.tensor_split(t.tensor(2))),
    CUBES,
    covers="_index_view",
)
row(
    "other splits",
    lambda t, a: (
        *t.split_with_sizes(a, [1, 2], 1),
        *t.hsplit(a, 3),
        *a.vsplit((1,)),
        *t.dsplit(a, [2]),
        *t.unsafe_split(a, 2, -1),
        *a.unsafe_chunk(2),
    ),
    CUBES[:1],
    covers="split_with_sizes hsplit vsplit dsplit unsafe_split unsafe_chunk",
)

# -- repeating and turning

row(
    "repeat",
    lambda t, a: (a.repeat(2, 1, 3), a.repeat((1, 2, 2))),
    [In((2, 3)), In((3,)), In(())],
    dtypes=WIDE,
    covers="_repeat",
)
row(
    "tile",
    lambda t, a: (t.tile(a, (2,)), a.tile(2, 1, 2)),
    [In((2, 3)), In(()), In((0, 2))],
    covers="_repeat",
)
row(
    "repeat_interleave",
    lambda t, a: (
        t.repeat_interleave(a, 2),
        a.repeat_interleave(t.tensor([1, 0, 2]), 0),
        a.repeat_interleave(3, dim=-1),
    ),
    [In((3, 4)), In((3, 2), "normal", "strided")],
    dtypes=EVERY,
    covers="index_select",
)
row(
    "roll",
    lambda t, a: (t.roll(a, 1), a.roll((1, -2), (0, 1)), a.roll(3, -1)),
    [In((3, 4)), In((4, 3), "normal", "transposed"), In((0, 3))],
    dtypes=EVERY,
    covers="_roll",
)
row(
    "flip",
    lambda t, a: (t.flip(a, (0, -1)), a.flip(1), t.fliplr(a), a.flipud()),
    [In((3, 4)), *CUBES],
    dtypes=EVERY,
    covers="fliplr flipud _flip",
)
row(
    "rot90",
    lambda t, a: (t.rot90(a), a.rot90(2), t.rot90(a, -1, (1, 0)), a.rot90(4)),
    [In((3, 4)), In((2, 3, 4))],
    covers="_flip",
)

# -- triangles and diagonals

for name in ("tril", "triu"):
    row(
        name,
        lambda t, a, n=name: (getattr(t, n)(a), getattr(a, n)(1), getattr(a, n)(diagonal=-1)),
        SQUARES,
        dtypes=WIDE,
    )
    row(name + "_", lambda t, a, n=name: getattr(a * 1, n + "_")(1) * a, SQUARES[:2], covers=name)
row(
    "diag",
    lambda t, a: (t.diag(a), a.diag(1), a.diag(-2)),
    [In((3, 4)), In((3,)), In((4, 3), "normal", "transposed")],
    dtypes=EVERY,
    covers="diagonal _on_diagonal",
)
row(
    "diagonal",
    lambda t, a: (t.diagonal(a), a.diagonal(1), a.diagonal(-1, -1, 0), a.diagonal(9)),
    [In((3, 4)), *CUBES],
    dtypes=WIDE,
    covers="_on_diagonal",
)
row(
    "diag_embed",
    lambda t, a: (t.diag_embed(a), a.diag_embed(1), t.diag_embed(a, -1, 0, -1)),
    [In((3,)), In((2, 3)), In((2, 0))],
    covers="_on_diagonal diagonal",
)
row(
    "diagflat",
    lambda t, a: (t.diagflat(a), a.diagflat(-1)),
    [In((3,)), In((2, 2)), In(())],
    covers="_on_diagonal",
)
row(
    "diagonal_scatter",
    lambda t, a, b: (t.diagonal_scatter(a, b), a.diagonal_scatter(b[:2], -1)),
    [(In((3, 4)), In((3,)))],
    covers="_diagonal_put",
)


def _changed_diagonal(t, a, b):
    changed = a * 1
    changed.diagonal().mul_(b)
    return changed


row(
    "fill_diagonal_",
    lambda t, a: ((a * 1).fill_diagonal_(2.0) * a, (a * a).fill_diagonal_(-1.0, wrap=True)),
    [In((3, 4)), In((5, 2))],
    covers="strided_put",
)
row("change of a diagonal", _changed_diagonal, [(In((3, 4)), In((3,)))], covers="strided_put")
row(
    "unfold",
    lambda t, a: (a.unfold(1, 2, 1), a.unfold(-1, 2, 3)),
    CUBES[:2],
    dtypes=FLOATS,
    covers="strided_view strided_add",
)

# -- grids

row(
    "meshgrid",
    lambda t, a, b: (*t.meshgrid(a, b, indexing="ij"), *t.meshgrid([b, a, a], indexing="xy")),
    [(In((3,)), In((2,))), (In(()), In((2,)))],
    covers="expand",
)
row(
    "cartesian_prod",
    lambda t, a, b: (t.cartesian_prod(a, b), t.cartesian_prod(a)),
    [(In((3,)), In((2,)))],
    covers="stack",
)
row(
    "combinations",
    lambda t, a: (t.combinations(a), t.combinations(a, 3, True), t.combinations(a, r=1)),
    [In((4,)), In((2,))],
    covers="_index_copy",
)
row(
    "unravel_index",
    lambda t, a: (*t.unravel_index(a.long(), (3, 4)), *t.unravel_index(a.long(), 9)),
    [In((3, 4), "below 9"), In((), "below 9")],
    dtypes=("int64",),
    smooth=False,
)
row(
    "one_hot",
    lambda t, a: (t.nn.functional.one_hot(a.long()), t.nn.functional.one_hot(a.long(), 9)),
    [In((3, 4), "below 9"), In((), "below 9")],
    dtypes=("int64",),
    smooth=False,
)
