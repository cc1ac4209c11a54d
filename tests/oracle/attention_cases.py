"""Rows of the op table: attention, with the plain kernel of PyTorch where it is differentiated twice."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import HALVES, In, row


def attend(t: Any, *given: Any, **options: Any) -> Any:
    """``scaled_dot_product_attention`` by the kernel that has all derivatives."""
    with t.nn.attention.sdpa_kernel(t.nn.attention.SDPBackend.MATH):
        return t.nn.functional.scaled_dot_product_attention(*given, **options)


def fused(t: Any, *given: Any, **options: Any) -> Any:
    """The same by PyTorch's fused kernel, where it takes the inputs."""
    return t.nn.functional.scaled_dot_product_attention(*given, **options)


def heads(
    queries: int, keys: int, batch: tuple[int, ...] = (2, 3), layout: str = "plain"
) -> tuple[In, In, In]:
    return (
        In((*batch, queries, 4), "normal", layout),
        In((*batch, keys, 4), "normal", layout),
        In((*batch, keys, 4), "normal", layout),
    )


def bools(*shape: int) -> In:
    return In(shape, dtype="bool", grad=False)


PLAIN = [
    heads(5, 5),
    heads(3, 6),
    heads(6, 3, layout="strided"),
    heads(4, 5, layout="transposed"),
    heads(3, 2, ()),
    heads(3, 4, (2,)),
    heads(2, 3, (2, 1, 2)),
    heads(1, 1),
]
EMPTY = [heads(0, 3), heads(3, 0), heads(3, 3, (0, 2))]
BROADCAST = [
    (In((2, 3, 4, 5)), In((1, 3, 6, 5)), In((3, 6, 2))),
    (In((3, 4, 5)), In((2, 1, 6, 5)), In((6, 2))),
    (In((4, 5)), In((2, 6, 5)), In((2, 6, 3))),
]
row("attention", attend, [*PLAIN, *BROADCAST], dtypes=HALVES)
row(
    "attention.fused",
    fused,
    [*PLAIN, *EMPTY],
    dtypes=HALVES,
    order=1,
    covers="attention",
)
row(
    "attention.causal",
    lambda t, *a: attend(t, *a, is_causal=True),
    [*PLAIN, *BROADCAST],
    dtypes=HALVES,
    covers="attention",
)
row(
    "attention.fused and causal",
    lambda t, *a: fused(t, *a, is_causal=True),
    [*PLAIN, *EMPTY],
    dtypes=HALVES,
    order=1,
    covers="attention",
)
row("attention.scale", lambda t, *a: attend(t, *a, scale=-0.3), PLAIN[:5], covers="attention")
MASKED = [
    (*heads(3, 5), bools(3, 5)),
    (*heads(3, 5), bools(2, 1, 1, 5)),
    (*heads(3, 5), bools(2, 3, 3, 5)),
    (*heads(3, 5), bools(3, 1, 5)),
    (*heads(3, 5), bools(3, 1)),
    (*heads(3, 5, ()), bools(1, 5)),
    (*heads(3, 5), bools(1, 1, 1, 1)),
]
row(
    "attention.mask",
    lambda t, q, k, v, m: attend(t, q, k, v, attn_mask=m),
    MASKED,  # some queries see no key at all
    dtypes=HALVES,
    covers="attention",
)
row(
    "attention.fused and masked",
    fused,
    MASKED,
    dtypes=HALVES,
    order=1,
    covers="attention",
)
row(
    "attention.fused, masked and causal",
    lambda t, q, k, v, m: fused(t, q, k, v, m, is_causal=True),
    [MASKED[number] for number in (0, 1, 2)],
    order=1,
    covers="attention",
)
row(
    "attention.mask of few dims",
    lambda t, q, k, v, m, n: attend(t, q, k, v, m) + attend(t, q, k, v, n),
    [(*heads(3, 5, (2,)), In((5,)), bools(5)), (*heads(3, 5, ()), In(()), bools())],
    covers="attention",
)
ADDED = [
    (*heads(3, 5), In((3, 5))),
    (*heads(3, 5), In((2, 1, 3, 5))),
    (*heads(3, 5), In((2, 3, 3, 5))),
    (*heads(3, 5), In((3, 3, 5), "normal", "transposed")),
    (*heads(3, 5), In((2, 1, 1, 5))),
    (*heads(3, 5), In((3, 3, 1))),
    (*heads(3, 5), In((1, 1))),
    (*heads(3, 5, ()), In((3, 1))),
    (*heads(3, 1), In((1, 1, 3, 1))),
]
row(
    "attention.added mask",
    lambda t, q, k, v, m: attend(t, q, k, v, attn_mask=m),
    ADDED,
    dtypes=HALVES,
    covers="attention",
)
row(
    "attention.added mask in float32",
    lambda t, q, k, v, m: fused(t, q, k, v, m.float()),
    [(*each[:3], In(each[3].shape, grad=False)) for each in ADDED],
    dtypes=HALVES,
    order=1,
    smooth=False,
    covers="attention",
)
GROUPED = [
    (In((2, 6, 3, 4)), In((2, 2, 5, 4)), In((2, 2, 5, 4))),
    (In((6, 3, 4)), In((3, 5, 4)), In((3, 5, 2))),
    (In((2, 6, 3, 4)), In((2, 2, 5, 4)), In((2, 3, 5, 4))),
    (In((2, 4, 3, 4)), In((2, 4, 5, 4)), In((2, 4, 5, 4))),
    (In((2, 4, 3, 4)), In((2, 1, 5, 4)), In((2, 1, 5, 4))),
]
row(
    "attention.grouped",
    lambda t, *a: attend(t, *a, enable_gqa=True),
    GROUPED,
    dtypes=HALVES,
    covers="attention",
)
row(
    "attention.grouped and causal",
    lambda t, *a: attend(t, *a, is_causal=True, enable_gqa=True),
    GROUPED,
    covers="attention",
)
row(
    "attention.grouped and masked",
    lambda t, q, k, v, m: attend(t, q, k, v, m, enable_gqa=True),
    [
        (*GROUPED[0], In((2, 6, 3, 5))),
        (*GROUPED[0], In((2, 1, 1, 5))),
        (*GROUPED[0], bools(3, 5)),
        (*GROUPED[1], In((6, 3, 5))),
        (*GROUPED[2], bools(6, 3, 5)),
    ],
    covers="attention",
)
row(
    "attention.dropout of all",
    lambda t, *a: attend(t, *a, dropout_p=1.0),
    PLAIN[:5],
    smooth=False,
    covers="attention",
)
