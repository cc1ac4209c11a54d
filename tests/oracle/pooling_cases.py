"""Rows of the table of op cases: pooling."""

from __future__ import annotations

import math
from typing import Any

from tests.oracle.op_cases import FLOATS, HALVES, INTEGERS, In, row


def _f(t: Any) -> Any:
    return t.nn.functional


SPREAD = [
    In((2, 2, 5, 4), "apart"),
    In((2, 5, 4), "apart", "transposed"),
    In((0, 2, 5, 4), "apart"),
    In((2, 2, 5, 4), "apart", "strided"),
]
row(
    "max_pool2d",
    lambda t, a: _f(t).max_pool2d(a, (3, 2), (1, 2), (1, 1), 1, True),
    SPREAD,
    dtypes=(*HALVES, *INTEGERS),
    covers="max_pool_route max_pool_pick",
)
row(
    "max_pool2d apart",
    lambda t, a: _f(t).max_pool2d(a, 2),
    SPREAD,
    dtypes=HALVES,
    covers="max_pool2d max_pool_route",
)
row(
    "max_pool2d with a large window",
    lambda t, a: _f(t).max_pool2d(a, (12, 11), 2),
    [In((2, 2, 14, 13), "apart")],
    covers="max_pool2d",
)
row(
    "max_pool2d_with_indices",
    lambda t, a: _f(t).max_pool2d(a, (3, 2), 2, 1, (1, 2), True, True),
    SPREAD,
    dtypes=(*HALVES, *INTEGERS),
)
VOLUMES = [In((2, 2, 3, 5, 4), "apart"), In((2, 3, 5, 4), "apart"), In((0, 2, 3, 5, 4), "apart")]
row("max_pool3d", lambda t, a: _f(t).max_pool3d(a, 2, (1, 2, 1), 1), VOLUMES, dtypes=(*HALVES, *INTEGERS))
row(
    "max_pool3d_with_indices",
    lambda t, a: _f(t).max_pool3d_with_indices(a, (2, 3, 2), (1, 2, 1), 1, (2, 1, 1), True),
    VOLUMES,
)
ODD = {
    "max_pool2d of ties": lambda t, a: _f(t).max_pool2d(a, 2, 1, return_indices=True),
    "max_pool2d of nan": lambda t, a: _f(t).max_pool2d(a / a, 2, 1, 1, return_indices=True),
    "max_pool2d of infinities": lambda t, a: _f(t).max_pool2d(-((a * a) / 0), 3, 1, 1, return_indices=True),
    "max_pool2d of the lowest": lambda t, a: _f(t).max_pool2d(
        a * 0 - math.inf, (2, 3), 1, 1, return_indices=True
    ),
}
for name, run in ODD.items():
    row(name, run, [In((2, 2, 5, 4), "ties")], smooth=False, order=1, covers="max_pool2d_with_indices")
row(
    "max_pool1d",
    lambda t, a: (
        _f(t).max_pool1d(a, 3, 2, 1, 1, True) + _f(t).max_pool1d_with_indices(a, 3, 2, 1, 1, True)[1]
    ),
    [In((2, 3, 7), "apart"), In((3, 7), "apart")],
    covers="max_pool2d",
)
WINDOWS = [
    In((2, 2, 5, 4)),
    In((2, 5, 4), "normal", "transposed"),
    In((0, 2, 5, 4)),
    In((1, 2, 5, 4), "normal", "strided"),
]
row(
    "avg_pool2d",
    lambda t, a: _f(t).avg_pool2d(a, (3, 2), (2, 1), (1, 1), True, False),
    WINDOWS,
    dtypes=HALVES,
    covers="avg_pool_spread",
)
row("avg_pool2d apart", lambda t, a: _f(t).avg_pool2d(a, 2), WINDOWS, dtypes=HALVES, covers="avg_pool2d")
row(
    "avg_pool2d with a divisor",
    lambda t, a: _f(t).avg_pool2d(a, 3, 2, 1, True, divisor_override=-2),
    WINDOWS,
    dtypes=(*FLOATS, "int64"),
    covers="avg_pool2d",
)
row(
    "avg_pool2d of integers",
    lambda t, a: _f(t).avg_pool2d(a - 4, 2, 1, 1),
    WINDOWS,
    dtypes=("int64",),
    smooth=False,
    covers="avg_pool2d",
)
row(
    "avg_pool2d of one dim",
    lambda t, a: _f(t).avg_pool1d(a, 3, 2, 1, True, False),
    [In((2, 3, 6)), In((3, 6))],
    covers="avg_pool2d",
)
CUBES = [In((2, 2, 3, 5, 4)), In((2, 3, 5, 4)), In((0, 2, 3, 5, 4))]
row(
    "avg_pool3d",
    lambda t, a: _f(t).avg_pool3d(a, (2, 3, 2), (1, 2, 1), 1, True, False),
    CUBES,
    covers="avg_pool_spread",
)
row(
    "adaptive_avg_pool2d",
    lambda t, a: _f(t).adaptive_avg_pool2d(a, (3, 2)),
    WINDOWS,
    dtypes=HALVES,
    covers="adaptive_avg_pool_spread",
)
row(
    "adaptive_avg_pool2d to more",
    lambda t, a: _f(t).adaptive_avg_pool2d(a, (7, 8)) + _f(t).adaptive_avg_pool2d(a, (None, 4)).sum(),
    WINDOWS,
    covers="adaptive_avg_pool2d",
)
row(
    "adaptive_avg_pool2d to none",
    lambda t, a: _f(t).adaptive_avg_pool2d(a, (0, 2)),
    [In((2, 2, 5, 4), grad=False)],
    smooth=False,
    covers="adaptive_avg_pool2d",
)
row(
    "adaptive_avg_pool2d of infinity",
    lambda t, a: _f(t).adaptive_avg_pool2d(1 / a, 2),
    [In((2, 2, 4, 6), "ties")],
    smooth=False,
    order=1,
    covers="adaptive_avg_pool2d",
)
row(
    "adaptive_avg_pool3d",
    lambda t, a: _f(t).adaptive_avg_pool3d(a, (2, 3, None)),
    CUBES,
    covers="adaptive_avg_pool_spread",
)
row(
    "adaptive_max_pool2d",
    lambda t, a: _f(t).adaptive_max_pool2d(a, (3, 2), True),
    SPREAD,
    dtypes=HALVES,
    covers="plane_add plane_pick",
)
row(
    "adaptive_max_pool2d of nan",
    lambda t, a: _f(t).adaptive_max_pool2d(a / a, 3, True),
    [In((2, 2, 5, 4), "ties")],
    smooth=False,
    order=1,
    covers="adaptive_max_pool2d",
)
row(
    "adaptive_max_pool3d",
    lambda t, a: _f(t).adaptive_max_pool3d(a, (2, 3, 5), True),
    VOLUMES,
    covers="plane_add",
)
SAMPLES = In((2, 3, 2), "fractions", grad=False)
row(
    "fractional_max_pool2d",
    lambda t, a, s: _f(t).fractional_max_pool2d(a, (2, 3), (4, 3), return_indices=True, _random_samples=s),
    [(In((2, 3, 9, 8), "apart"), SAMPLES), (In((3, 9, 8), "apart"), In((1, 3, 2), "fractions", grad=False))],
    dtypes=FLOATS,
    covers="plane_add",
)
row(
    "fractional_max_pool2d by ratio",
    lambda t, a, s: _f(t).fractional_max_pool2d_with_indices(
        a, 2, output_ratio=(0.6, 0.4), _random_samples=s
    ),
    [(In((2, 3, 9, 8), "apart"), SAMPLES)],
    covers="fractional_max_pool2d",
)
row(
    "fractional_max_pool3d",
    lambda t, a, s: _f(t).fractional_max_pool3d(a, 2, (2, 4, 1), return_indices=True, _random_samples=s),
    [(In((2, 3, 5, 7, 4), "apart"), In((2, 3, 3), "fractions", grad=False))],
    covers="plane_add",
)
row(
    "max_unpool2d",
    lambda t, a, i: _f(t).max_unpool2d(a, i, (2, 2), (2, 2), 0, (5, 6)),
    [(In((2, 3, 3)), In((2, 3, 3), "below 30", dtype="int64", grad=False))],
    smooth=False,  # two elements may go to one place
    dtypes=HALVES,
    order=1,
)
row(
    "max_unpool3d",
    lambda t, a, i: _f(t).max_unpool3d(a, i, 2),
    [(In((2, 2, 1, 2)), In((2, 2, 1, 2), "below 32", dtype="int64", grad=False))],
    smooth=False,
    order=1,
)
row(
    "max_unpool2d and back",
    lambda t, a: _f(t).max_unpool2d(*_f(t).max_pool2d(a, 2, return_indices=True), 2),
    [In((2, 2, 4, 6), "apart")],
    covers="max_unpool2d max_pool2d_with_indices plane_pick",
    order=1,
)
for norm in (1, 2, 3.5, math.inf):
    row(
        f"avg_pool2d of powers.{norm}",
        lambda t, a, p=norm: _f(t).lp_pool2d(a, p, (2, 3), 2, True) + _f(t).lp_pool1d(a[0], p, 2).sum(),
        [In((2, 2, 5, 4), "positive")],
        covers="max_pool2d" if norm == math.inf else "avg_pool2d",
    )
