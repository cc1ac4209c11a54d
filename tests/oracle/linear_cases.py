"""Rows of the table of op cases: bilinear maps, distances, shuffles."""

from __future__ import annotations

from tests.oracle.op_cases import COMPLEX, HALVES, In, pairs, row

row(
    "bilinear",
    lambda t, a, b, w, c: t.nn.functional.bilinear(a, b, w, c) + t.bilinear(a, b, w, None),
    [
        (In((5, 3)), In((5, 4)), In((2, 3, 4)), In((2,))),
        (In((2, 3, 3), "normal", "strided"), In((2, 3, 4)), In((1, 3, 4)), In((1,))),
        (In((3,)), In((4,)), In((2, 3, 4)), In((2,))),
        (In((0, 3)), In((0, 4)), In((2, 3, 4)), In((2,))),
    ],
    dtypes=HALVES[:2],
    covers="_product",
)
row(
    "bilinear of halves",
    lambda t, a, b, w: t.nn.functional.bilinear(a, b, w),
    [(In((5, 3), "positive"), In((5, 4), "positive"), In((2, 3, 4), "positive"))],
    dtypes=HALVES[2:],
    smooth=False,
    order=1,
    covers="_product",
)
row(
    "cosine_similarity",
    lambda t, a, b: t.cosine_similarity(a, b, -1) + t.nn.functional.cosine_similarity(a, b, dim=-1),
    pairs()[:3] + pairs()[7:],
    dtypes=HALVES[:2],
    covers="linalg_vector_norm",
)
row(
    "cosine_similarity of short vectors",
    lambda t, a, b: t.cosine_similarity(a, b, eps=10.0) + t.cosine_similarity(a * 0, b),
    pairs()[:1],
    smooth=False,
    order=1,
    covers="linalg_vector_norm",
)
row(
    "cosine_similarity of mixed dtypes",
    lambda t, a, b: t.cosine_similarity(a, b),
    [(In((3, 4), "positive", dtype="int64", grad=False), In((3, 4)))],
    smooth=False,
    covers="linalg_vector_norm",
)
_APART = [(In((3, 4), "apart"), In((3, 4), "nonzero")), (In((2, 3, 4), "apart"), In((4,), "nonzero"))]
for _p in (2.0, 1, 3, 0.5, float("inf")):
    row(
        f"pairwise_distance {_p}",
        lambda t, a, b, p=_p: t.pairwise_distance(a, b, p) + t.nn.functional.pairwise_distance(a, b, p, 0.1),
        _APART,
        smooth=_p != 0.5,  # a root bends too much near 0 for finite differences: these are taken far from it
        covers="norm",
    )
row(
    "pairwise_distance 0.5 of what is far apart",
    lambda t, a, b: (
        t.pairwise_distance(a, 20 * b, 0.5) + t.nn.functional.pairwise_distance(a, 20 * b, 0.5, 0.1)
    ),
    _APART,
    covers="norm",
)
row(
    "pairwise_distance",
    lambda t, a, b: t.nn.functional.pairwise_distance(a, b, keepdim=True),
    [(In((3, 4)), In((3, 4))), (In((4,)), In((4,))), (In(()), In(()))],
    covers="norm",
)
row(
    "F.pdist",
    lambda t, a: t.nn.functional.pdist(a) + t.nn.functional.pdist(a, p=1),
    [In((4, 3), "apart")],
    order=1,
    covers="norm",
)

# -- shuffles

ALL = (*HALVES, *COMPLEX, "int64", "bool")
row(
    "pixel_shuffle",
    lambda t, a: t.pixel_shuffle(a, 2),
    [
        In((2, 8, 3, 2)),
        In((4, 2, 3)),
        In((3, 4, 2, 1), "normal", "transposed"),
        In((1, 2, 4, 1, 2), "normal", "strided"),
    ],
    dtypes=ALL,
)
row(
    "pixel_unshuffle",
    lambda t, a: t.nn.functional.pixel_unshuffle(a, 2),
    [
        In((2, 2, 4, 6)),
        In((3, 2, 4)),
        In((3, 1, 2, 4), "normal", "transposed"),
        In((1, 2, 1, 2, 4), "normal", "strided"),
    ],
    dtypes=ALL,
)
row(
    "channel_shuffle",
    lambda t, a: t.channel_shuffle(a, 2),
    [
        In((2, 6, 3)),
        In((1, 4, 2, 2)),
        In((3, 4, 2), "normal", "transposed"),
        In((2, 2, 2, 2, 4), "normal", "strided"),
    ],
    dtypes=ALL,
)
row(
    "native_channel_shuffle",
    lambda t, a: t.native_channel_shuffle(a.detach(), 3),
    [In((2, 6, 3, 2))],
    order=0,
    smooth=False,
    covers="channel_shuffle",
)
