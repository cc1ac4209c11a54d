"""The table's rows of what orders, ranks, counts and accumulates: sorting, quantiles, scans, sets, histograms."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, HALVES, THREE, In, row

APART = [In((2, 3, 4), "apart"), In((), "apart"), In((4, 3), "apart", "transposed")]
TIES = [In((5, 8), "ties"), In((6, 7), "ties", "strided")]
HOLES = [In((4, 6), "holes"), In((3, 4, 5), "holes", "strided")]
ROUTES = "along_dim_scatter along_dim_pick"

# -- sorting

row("sort", lambda t, a: (*t.sort(a), *a.sort(0, True)), APART, dtypes=HALVES, covers=ROUTES)
row(
    "sort of ties",
    lambda t, a: (
        *a.sort(stable=True),
        *a.sort(dim=0, descending=True, stable=True),
        *t.sort(a, stable=True, dim=0),
    ),
    TIES,
    dtypes=EVERY,
    smooth=False,
    covers="sort",
)
row(
    "sort with nan",
    lambda t, a: (*a.sort(), *a.sort(dim=0, descending=True, stable=True)),
    HOLES,
    dtypes=HALVES,
    smooth=False,
    order=1,
    covers="sort",
)
row(
    "argsort",
    lambda t, a: (
        t.argsort(a, stable=True),
        a.argsort(dim=0, descending=True, stable=True),
        a.argsort(-1, True),
    ),
    [*APART, In((5, 8), "apart", "strided")],
    dtypes=HALVES,
    smooth=False,
)
row(
    "sort of nothing", lambda t, a: (*a.sort(0), *a.sort(1), a.argsort()), [In((0, 3))], covers="sort argsort"
)
row("msort", lambda t, a: (t.msort(a), a.msort()), APART)
row(
    "topk",
    lambda t, a: (*t.topk(a, 2), *a.topk(1, 0), *a.topk(3, dim=1, largest=False, sorted=True), *a.topk(k=0)),
    [In((3, 4), "apart"), In((4, 3), "apart", "transposed")],
    dtypes=HALVES,
    covers=ROUTES,
)
row(
    "topk of many",
    lambda t, a: (*a.topk(3), *a.topk(4, largest=False), *a.t().topk(2, 0)),
    [In((2, 600), "apart")],
    order=1,
    covers="topk",
)
row("topk of 0-d", lambda t, a: a.topk(1), [In(())], covers="topk")
row(
    "topk with nan",
    lambda t, a: (a.topk(2)[0], a.topk(6, largest=False)[0]),
    [In((4, 6), "holes", grad=False)],
    smooth=False,
    order=1,
    covers="topk",
)
row(
    "searchsorted",
    lambda t, s, v: (
        t.searchsorted(s.sort()[0], v),
        t.searchsorted(s.sort()[0], v, right=True, out_int32=True),
        t.searchsorted(s.sort()[0], v, side="right"),
        t.searchsorted(s, v, sorter=s.argsort(stable=True)),
    ),
    [
        (In((6,), "ties", grad=False), In((2, 3), "ties", grad=False)),
        (In((2, 6), "ties", grad=False), In((2, 3), "ties", grad=False)),
        (In((6,), "ties", grad=False), In((), grad=False)),
        (In((0,), grad=False), In((3,), grad=False)),
        (In((2, 6), grad=False), In((2, 0), grad=False)),
    ],
    dtypes=ALL,
    smooth=False,
    covers="_searched",
)
row(
    "searchsorted in nan",
    lambda t, s, v: [
        t.searchsorted(each, v, right=right)
        for each in (s.sort()[0], s * t.nan, t.cat([s.sort()[0], t.full((3, 5), t.nan)], 1))
        for right in (False, True)
    ],
    [(In((3, 6), "holes", grad=False), In((3, 4), "holes", grad=False))],
    dtypes=("float32", "float16"),
    smooth=False,
    covers="_searched",
)
row(
    "searchsorted of a number",
    lambda t, s: (t.searchsorted(s.sort()[0], 1.5), t.searchsorted(s.sort()[0], 2, right=True)),
    [In((6,), grad=False)],
    dtypes=("float32", "int64"),
    smooth=False,
    covers="searchsorted",
)
row(
    "bucketize",
    lambda t, v, s: (t.bucketize(v, s.sort()[0]), t.bucketize(1, s.sort()[0], right=True, out_int32=True)),
    [(In((2, 3), "ties", grad=False), In((4,), "ties", grad=False))],
    dtypes=("float32", "int64", "float16"),
    smooth=False,
)

# -- single elements by rank

row(
    "median",
    lambda t, a: (t.median(a), *t.median(a, 0), *a.median(-1, True)),
    APART,
    dtypes=HALVES,
    covers="_median _median_all",
)
row("median of an even number", lambda t, a: a.median(1)[0], [In((3, 6), "apart")], covers="median _median")
row("median of integers", lambda t, a: (a.median(), a.median(0)[0]), TIES, dtypes=ALL[4:], smooth=False)
row("median of ties", lambda t, a: a.median(), TIES, smooth=False, order=1, covers="median")
row(
    "median with nan",
    lambda t, a: (a.median(), *a.median(1), a.nanmedian(), a.nanmedian(0)[0]),
    HOLES[:1],
    dtypes=HALVES,
    smooth=False,
    order=1,
    covers="median nanmedian _nanmedian",
)
row("nanmedian", lambda t, a: (t.nanmedian(a), *a.nanmedian(0)), APART[:2], covers="_nanmedian")
row(
    "kthvalue",
    lambda t, a: (*t.kthvalue(a, 2), *a.kthvalue(1, 0, True)),
    [In((3, 4), "apart")],
    dtypes=HALVES,
)
row("kthvalue of 0-d", lambda t, a: a.kthvalue(1), [In(())], covers="kthvalue")
row(
    "mode",
    lambda t, a: (t.mode(a)[0], a.mode(0, True)[0], *a[:, :3].mode()),
    TIES,
    dtypes=EVERY,
    smooth=False,
    order=1,
)
row("mode of 0-d", lambda t, a: a.mode(), [In(())], covers="mode")
row(
    "quantile",
    lambda t, a: (t.quantile(a, 0.3), a.quantile(0.6, 0), a.quantile(0.25, 1, keepdim=True), a.quantile(1)),
    [In((2, 3, 4), "apart"), In((4, 3), "apart", "transposed")],
    covers="along_dim_add",
)
row(
    "quantile of several",
    lambda t, a, q: (t.quantile(a, q), a.quantile(q, 1), a.quantile(q, 0, True), a.quantile(q, keepdim=True)),
    [(In((4, 3), "apart"), In((3,), "fractions")), (In((2, 3, 4), "apart"), In((3,), "fractions"))],
    covers="quantile",
)
row("quantile of 0-d", lambda t, a: (a.quantile(0.3), a.quantile(0.3, 0, True)), [In(())], covers="quantile")
for _kind in ("lower", "higher", "midpoint", "nearest"):
    row(
        f"quantile.{_kind}",
        lambda t, a, kind=_kind: (
            a.quantile(0.4, 0, interpolation=kind),
            a.nanquantile(0.4, interpolation=kind),
        ),
        [In((5, 4), "apart")],
        covers="quantile nanquantile",
    )
row(
    "nanquantile",
    lambda t, a: (
        t.nanquantile(a, 0.3),
        a.nanquantile(0.3, 0),
        a.detach().quantile(0.3, 0),
        a.detach().quantile(0.4),
    ),
    HOLES,
    smooth=False,
    order=1,
    covers="quantile",
)

# -- scans

row(
    "cumsum",
    lambda t, a: (t.cumsum(a, 0), a.cumsum(-1)),
    [*THREE, In(()), In((0, 3))],
    dtypes=(*EVERY, *COMPLEX),
)
row(
    "cumsum.dtype",
    lambda t, a: (
        a.cumsum(0, dtype=t.float64),
        a.cumprod(1, dtype=t.float64),
        a.detach().cumsum(1, dtype=t.int32),
    ),
    [In((3, 4))],
    dtypes=(*FLOATS, "int64"),
    smooth=False,
    covers="cumsum cumprod",
)
row(
    "scans of nothing",
    lambda t, a: (a.cumprod(0), a.logcumsumexp(0), *a.cummax(0), *a.cummin(1)),
    [In((0, 3))],
    order=1,
    covers="cumprod logcumsumexp",
)
row("cumsum_", lambda t, a: (a * 1).cumsum_(0), [In((3, 4))], dtypes=(*HALVES, "int64"), covers="cumsum")
row(
    "cumprod",
    lambda t, a: (t.cumprod(a, 0), a.cumprod(-1)),
    [*THREE, In(())],
    dtypes=(*FLOATS, *COMPLEX, "int64", "bool"),
)
row("cumprod of zeros", lambda t, a: (a.cumprod(0), a.cumprod(1)), TIES, covers="cumprod")
row("cumprod_", lambda t, a: (a * 1).cumprod_(dim=1), [In((3, 4))], covers="cumprod")
row(
    "cummax",
    lambda t, a: (*t.cummax(a, 0), *a.cummax(-1)),
    [*APART, In((2, 3), "apart", "strided")],
    dtypes=(*HALVES, "int64"),
    covers="along_dim_add along_dim_pick",
)
row("cummin", lambda t, a: (*t.cummin(a, 0), *a.cummin(-1)), APART, dtypes=(*HALVES, "int64", "bool"))
row(
    "cummax of ties",
    lambda t, a: (*a.cummax(0), *a.cummin(1)),
    TIES,
    dtypes=EVERY,
    smooth=False,
    covers="cummax cummin",
)
row(
    "cummax with nan",
    lambda t, a: (*a.cummax(0), *a.cummin(1)),
    HOLES,
    smooth=False,
    order=1,
    covers="cummax cummin",
)
row(
    "logcumsumexp",
    lambda t, a: (t.logcumsumexp(a, 0), a.logcumsumexp(-1)),
    [*THREE, In(())],
    dtypes=FLOATS,
)
row(
    "logcumsumexp of complex",
    lambda t, a: a.logcumsumexp(0),
    [In((3, 2))],
    dtypes=COMPLEX,
    smooth=False,
    order=1,
)
row(
    "logcumsumexp of halves",
    lambda t, a: a.logcumsumexp(0),
    [In((3, 2))],
    dtypes=("float16",),
    smooth=False,
    order=1,
)
row(
    "logcumsumexp far out",
    lambda t, a: t.logcumsumexp(a * 300, 1),
    [In((3, 5))],
    smooth=False,
    order=1,
    covers="logcumsumexp",
)

# -- differences and integrals

row(
    "diff",
    lambda t, a: (t.diff(a), a.diff(2, 0), a.diff(n=0), a.diff(9), a.diff(dim=0, prepend=a[:1], append=a)),
    [In((3, 4)), In((4, 3), "normal", "transposed")],
    dtypes=(*FLOATS, "int64"),
)
row("diff of bools", lambda t, a: a.diff(), [In((3, 4))], dtypes=("bool",), smooth=False, covers="diff")
row(
    "trapezoid",
    lambda t, a, x: (
        t.trapezoid(a),
        t.trapezoid(a, dx=0.5, dim=0),
        t.trapezoid(a, x),
        t.trapezoid(a, a * 2, dim=0),
        t.trapz(a, x),
        t.trapz(a, dx=2),
    ),
    [(In((3, 4)), In((4,)))],
    covers="trapz",
)
row(
    "cumulative_trapezoid",
    lambda t, a, x: (
        t.cumulative_trapezoid(a),
        t.cumulative_trapezoid(a, dx=0.5, dim=0),
        t.cumulative_trapezoid(a, x),
        t.cumulative_trapezoid(a, a * 2, dim=0),
    ),
    [(In((3, 4)), In((4,)))],
)
row(
    "gradient",
    lambda t, a: (
        *t.gradient(a),
        *t.gradient(a, spacing=0.5, dim=1),
        *t.gradient(a, spacing=(2.0, 3.0), edge_order=2),
        *t.gradient(a[:2], dim=0),
    ),
    [In((3, 4))],
    dtypes=(*FLOATS, "int64"),
)
row(
    "gradient by coordinates",
    lambda t, a, x, y: (
        *t.gradient(a, spacing=(x.cumsum(0), y.cumsum(0))),
        *t.gradient(a, spacing=[y.cumsum(0)], dim=-1, edge_order=2),
    ),
    [(In((3, 4)), In((3,), "positive"), In((4,), "positive"))],
    covers="gradient",
)
row(
    "trapezoid of integers",
    lambda t, a: (t.trapezoid(a), t.cumulative_trapezoid(a), t.trapezoid(a[:0], dim=0)),
    [In((3, 4))],
    dtypes=("int64", "uint8"),
    smooth=False,
    covers="trapezoid cumulative_trapezoid",
)

# -- sets and counts

row(
    "unique",
    lambda t, a: (t.unique(a), *a.unique(return_inverse=True, return_counts=True), *t.unique(a, True, True)),
    [
        In((5, 8), "ties", grad=False),
        In((), grad=False),
        In((0, 3), grad=False),
        In((4, 3), "holes", grad=False),
    ],
    dtypes=("float32", "float64"),
    smooth=False,
)
row(
    "unique of dims",
    lambda t, a: (
        a.unique(dim=0),
        *a.unique(dim=1, return_inverse=True, return_counts=True),
        *t.unique_consecutive(a, dim=0, return_inverse=True, return_counts=True),
    ),
    [
        In((6, 2), "ties", grad=False),
        In((3, 2, 2), "ties", grad=False),
        In((5, 2), "ties", "expanded", grad=False),
    ],
    dtypes=(*ALL, "bool"),
    smooth=False,
    covers="unique unique_consecutive",
)
row(
    "unique_consecutive",
    lambda t, a: (t.unique_consecutive(a), *a.unique_consecutive(return_inverse=True, return_counts=True)),
    [In((5, 8), "ties", grad=False), In((), grad=False), In((0,), grad=False)],
    dtypes=EVERY,
    smooth=False,
)
row(
    "isin",
    lambda t, a, b: (
        t.isin(a, b),
        t.isin(a, b, invert=True),
        t.isin(a, 1),
        t.isin(1, a),
        t.isin(a.double(), b, assume_unique=False),
    ),
    [
        (In((3, 4), "ties", grad=False), In((2,), "ties", grad=False)),
        (In((), "ties", grad=False), In((0,), grad=False)),
        (In((3,), "holes", grad=False), In((3,), "holes", grad=False)),
    ],
    dtypes=("float32", "float64"),
    smooth=False,
    covers="_is_in",
)
row(
    "isin of integers",
    lambda t, a: t.isin(a, a[:1] + 1),
    [In((3, 4))],
    dtypes=("int64", "uint8"),
    smooth=False,
    covers="isin",
)
row(
    "bincount",
    lambda t, a, w: (
        t.bincount(a),
        a.bincount(minlength=9),
        t.bincount(a, w),
        a.bincount(weights=w, minlength=9),
    ),
    [
        (In((7,), "below 5", dtype="int64"), In((7,), grad=False)),
        (In((0,), dtype="uint8"), In((0,), grad=False)),
    ],
    dtypes=("float32", "float64", "int64", "float16"),
    smooth=False,
)
row(
    "histc",
    lambda t, a: (
        t.histc(a),
        a.histc(5, -1, 1),
        a.histc(bins=4, min=0, max=2),
        t.histc(a[:0], 3),
        (a * 0).histc(4),
    ),
    [In((30,), grad=False), In((5, 6), "normal", "strided", grad=False)],
    smooth=False,
)
row(
    "histogram",
    lambda t, a, w: (
        *t.histogram(a, 5),
        *a.histogram(4, range=(-1.0, 2.0)),
        *t.histogram(a, 4, weight=w),
        *t.histogram(a, t.tensor([-2.0, -0.5, 0.0, 2.0], dtype=a.dtype), density=True),
    ),
    [(In((30,), grad=False), In((30,), "positive", grad=False))],
    smooth=False,
)
row(
    "histogramdd",
    lambda t, a, w: [
        each
        for hist, edges in (
            t.histogramdd(a, 3),
            t.histogramdd(a, [2, 3], range=[-1.0, 1.0, 0.0, 2.0], density=True),
            t.histogramdd(a, bins=[4, 1], weight=w),
            t.histogramdd(a.reshape(5, 6, 2), [t.tensor([-2.0, 0.0, 0.5], dtype=a.dtype)] * 2),
            t.histogramdd(a[:0], [1, 2]),
            t.histogramdd(t.ones_like(a), [2, 2]),
        )
        for each in (hist, *edges)
    ],
    [(In((30, 2), grad=False), In((30,), "positive", grad=False))],
    smooth=False,
)
row(
    "sorting into out",
    lambda t, a: (
        *t.sort(a, out=(t.empty(0).to(a.dtype), t.empty(0).long())),
        *t.median(a, 0, out=(t.empty(0).to(a.dtype), t.empty(0).long())),
        t.quantile(a, 0.5, out=t.empty(0).to(a.dtype)),
        t.cumsum(a, 0, out=t.empty(0).to(a.dtype)),
        t.diff(a, out=t.empty(0).to(a.dtype)),
        t.searchsorted(a.sort()[0], a, out=t.empty(0).long()),
    ),
    [In((3, 4), "apart", grad=False)],
    smooth=False,
    covers="sort median quantile cumsum diff searchsorted",
)
