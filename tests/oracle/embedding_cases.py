"""Rows of the op table: looking up rows, and adding rows up by number, which is its derivative."""

from __future__ import annotations

from tests.oracle.op_cases import HALVES, In, row

TABLES = [
    (In((5, 3)), In((2, 4), "below 5", dtype="int64")),
    (In((5, 3), "normal", "transposed"), In((), "below 5", dtype="int64")),
    (In((5, 3), "normal", "strided"), In((60,), "below 5", dtype="int32")),
    (In((5, 2), "normal", "expanded"), In((3, 3), "below 5", "transposed", dtype="int64")),
]
row(
    "embedding",
    lambda t, w, i: t.nn.functional.embedding(i, w),
    TABLES,
    dtypes=HALVES,
    covers="embedding_dense_backward _plain_embedding",
)
row(
    "embedding of nothing",
    lambda t, w, i: t.nn.functional.embedding(i, w),
    [(In((5, 1)), In((0, 2), "below 5", dtype="int64"))],
    order=1,  # PyTorch cannot reshape in the second one
    covers="embedding",
)
row(
    "embedding with padding",  # whose gradient is not the derivative
    lambda t, w, i: t.nn.functional.embedding(i, w, padding_idx=1),
    TABLES,
    dtypes=HALVES,
    smooth=False,
    covers="embedding embedding_dense_backward",
)
row(
    "embedding scaled by frequency",
    lambda t, w, i: t.nn.functional.embedding(i, w, 2, None, 2.0, True),
    TABLES,
    dtypes=HALVES,
    smooth=False,
    order=1,  # PyTorch's second one forgets the scale
    covers="embedding embedding_dense_backward",
)
row(
    "embedding_bag",
    lambda t, w, i, f: (
        t.nn.functional.embedding_bag(i, w),
        t.nn.functional.embedding_bag(i, w, mode="max"),
        t.nn.functional.embedding_bag(i, w, mode="sum", per_sample_weights=f),
        t.nn.functional.embedding_bag(i.reshape(-1), w, t.tensor([0, 3, 3, 7]), mode="sum", padding_idx=-2),
    ),
    [(In((5, 3), "apart"), In((2, 4), "below 5", dtype="int64"), In((2, 4)))],
    dtypes=HALVES,
    order=1,
    covers="bag_sum weighted_bag_sum bag_max",
)
