"""Rows of the table of op cases: padding."""

from __future__ import annotations

from tests.oracle.op_cases import COMPLEX, EVERY, HALVES, INTEGERS, In, row

row(
    "constant_pad",
    lambda t, a: t.nn.functional.pad(a, (1, -1, 0, 2), value=2.5),
    [In((3, 4)), In((2, 3, 4), "normal", "transposed"), In((0, 3)), In((3, 2), "normal", "expanded")],
    dtypes=(*EVERY, *COMPLEX),
)
row(
    "constant_pad with nothing",
    lambda t, a: t.nn.functional.pad(a, ()) + t.nn.functional.pad(a, (0, 0)),
    [In((3, 4)), In((5,))],
    covers="constant_pad",
)
PADS = [
    (In((2, 3, 4, 5)), (1, 2, 3, 0)),
    (In((3, 4, 5), "normal", "strided"), (4, 1, 0, 2)),
    (In((0, 3, 4, 5)), (2, 1, 1, 1)),
    (In((2, 4, 5)), (2, 4)),
    (In((2, 2, 3, 2, 4)), (3, 1, 1, 0, 2, 2)),
    (In((2, 3, 5)), (3, -2)),
    (In((2, 3, 4, 5)), (-1, 2, 1, -2)),
]
for mode, name in (
    ("reflect", "reflection_pad"),
    ("replicate", "replication_pad"),
    ("circular", "circular_pad"),
):
    for number, (given, pad) in enumerate(PADS):
        row(
            f"{name}.{number}",
            lambda t, a, p=pad, m=mode: t.nn.functional.pad(a, p, m),
            [given],
            dtypes=(*HALVES, *INTEGERS, *COMPLEX),
            covers=f"{name}_gradient",
        )
