"""The table's rows of reductions: sums, products, extremes, statistics, norms, and the softmax."""

from __future__ import annotations

import functools
import math

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, HALVES, THREE, In, ones, pairs, row

EMPTY = [In((0, 3)), In((3, 0))]
row("sum", lambda t, a: t.sum(a), [*ones(), *EMPTY], dtypes=EVERY)
row("sum.dim", lambda t, a: t.sum(a, 1), [*THREE, *EMPTY], dtypes=EVERY, covers="sum")
row("sum.dims", lambda t, a: t.sum(a, (0, -1), keepdim=True), THREE, dtypes=ALL, covers="sum")
row("sum.dtype", lambda t, a: t.sum(a, dtype=t.float64), THREE, smooth=False, dtypes=ALL, covers="sum")
row("mean", lambda t, a: t.mean(a), ones()[:2] + ones()[3:], dtypes=HALVES)
row("mean.dim", lambda t, a: a.mean((0, 2), True), THREE, covers="mean")
row("var", lambda t, a: t.var(a), [In((3, 4)), *THREE], covers="_var")
row("var.dim", lambda t, a: t.var(a, 1, unbiased=False, keepdim=True), THREE, covers="_var var")
row("var.correction", lambda t, a: a.var((0, 2), correction=2), THREE, covers="_var var")
row("std", lambda t, a: t.std(a, 1), THREE, covers="_std")
row("amax", lambda t, a: t.amax(a, (0, 2)), [In((2, 3, 4), "apart")], dtypes=(*FLOATS, "int64"))
row("amin", lambda t, a: t.amin(a, 1, keepdim=True), [In((2, 3, 4), "apart")], dtypes=(*FLOATS, "int64"))
row(
    "max.dim of ties",
    lambda t, a: (*t.max(a, 1), *t.min(a, 0)),
    [In((5, 8), "ties")],
    smooth=False,
    covers="max min",
)
row(
    "argmax of ties",
    lambda t, a: (t.argmax(a, 1), t.argmin(a)),
    [In((5, 8), "ties")],
    smooth=False,
    covers="argmax",
)
row("amax of ties", lambda t, a: t.amax(a, 1), [In((5, 8), "ties")], smooth=False, covers="amax")
row("amin of ties", lambda t, a: t.amin(a), [In((5, 8), "ties")], smooth=False, covers="amin")
APART = [In((2, 3, 4), "apart"), In((), "apart"), In((4, 3, 2), "apart", "transposed")]
ROUTES = "along_dim_scatter along_dim_pick"
row("max", lambda t, a: t.max(a), APART, dtypes=(*HALVES, "int64"), covers="_max_all")
row("min", lambda t, a: t.min(a), APART, dtypes=(*HALVES, "int64"), covers="_min_all")
row(
    "max.dim",
    lambda t, a: tuple(t.max(a, -1)),
    APART,
    dtypes=(*HALVES, "int64"),
    covers=f"_max_dim max {ROUTES}",
)
row("max.keepdim", lambda t, a: tuple(a.max(0, keepdim=True)), APART, covers=f"_max_dim {ROUTES}")
row(
    "min.dim",
    lambda t, a: tuple(t.min(a, 0)),
    APART,
    dtypes=(*HALVES, "int64"),
    covers=f"_min_dim min {ROUTES}",
)
row(
    "max of two",
    lambda t, a, b: t.max(a, b) + t.min(a, b),
    pairs("apart", "nonzero")[:1],
    covers="maximum minimum",
)
row(
    "argmax",
    lambda t, a: (t.argmax(a), t.argmax(a, -1), t.argmax(a, 0, keepdim=True)),
    APART,
    smooth=False,
    dtypes=HALVES,
)
row(
    "argmin",
    lambda t, a: (t.argmin(a), a.argmin(-1), t.argmin(a, 0, keepdim=True)),
    APART,
    smooth=False,
    dtypes=HALVES,
)
row(
    "all",
    lambda t, a: (t.all(a), t.all(a, -1), t.all(a, 0, keepdim=True)),
    [In((3, 4), "ties"), In(())],
    dtypes=("float32", "int64", "bool", "uint8"),
    smooth=False,
)
row(
    "any",
    lambda t, a: (t.any(a), t.any(a, -1), a.any(0, keepdim=True)),
    [In((3, 4), "ties"), In(())],
    dtypes=("float32", "int64", "bool", "uint8"),
    smooth=False,
)
row("norm", lambda t, a: t.norm(a), [In((3, 4)), *THREE], covers="_vector_norm")
row("norm.dim", lambda t, a: t.norm(a, 2, 1, keepdim=True), THREE, covers="_vector_norm norm")
row("norm.1", lambda t, a: t.norm(a, 1, 0), [In((2, 3, 4), "nonzero")], covers="norm")
row("norm.3", lambda t, a: t.norm(a, 3, 0), [In((2, 3, 4), "nonzero")], covers="norm")
row("norm.inf", lambda t, a: t.norm(a, float("inf"), 1), [In((2, 3, 4), "apart")], covers="norm")
row(
    "norm of zeros",
    lambda t, a: t.norm(a * 0, 2, 1),
    [In((2, 3))],
    smooth=False,
    order=1,
    covers="norm _vector_norm",
)

# -- sums of other kinds

ZEROS = [In((5, 4), "ties"), In((2, 3, 4), "ties", "strided"), In((), "ties")]
HOLES = [In((3, 4), "holes"), In((2, 3, 4), "holes", "strided")]
row(
    "sum of complex",
    lambda t, a: (t.sum(a), a.sum(0, True), a.mean(-1)),
    ones()[:3],
    dtypes=COMPLEX,
    covers="mean",
)
row(
    "sum into a dtype",
    lambda t, a: (
        a.sum(dtype=t.int32),
        a.sum(0, dtype=t.bool),
        a.prod(dtype=t.float32),
        a.mean(dtype=t.float64),
    ),
    [In((2, 3), grad=False)],
    dtypes=("int64", "uint8", "bool", "float32"),
    smooth=False,
    covers="prod mean",
)
row(
    "sum of 0-d",
    lambda t, a: (a.sum(0), a.sum((0,), True), a.mean(-1), a.prod(0), a.std(0, correction=0), a.amax(-1)),
    [In(())],
    covers="mean prod std amax",
)
row(
    "mean of nothing",
    lambda t, a: (a.mean(), a.mean(0), a.sum(), a.prod(), a.prod(0)),
    [In((0, 3))],
    smooth=False,
    covers="mean",
)
row(
    "nansum",
    lambda t, a: (a.nansum(), t.nansum(a, 0), a.nansum((0, -1), keepdim=True)),
    HOLES,
    smooth=False,
    dtypes=HALVES,
)
row(
    "nansum of integers",
    lambda t, a: a.nansum(-1),
    [In((3, 4))],
    dtypes=("int64", "bool"),
    smooth=False,
    covers="nansum",
)
row(
    "nanmean",
    lambda t, a: (a.nanmean(), t.nanmean(a, 0), a.nanmean(-1, True)),
    HOLES,
    smooth=False,
    dtypes=HALVES,
)
row(
    "prod", lambda t, a: t.prod(a), [*ones("nonzero"), In((0, 3))], dtypes=(*FLOATS, "int64", "uint8", "bool")
)
row(
    "prod.dim",
    lambda t, a: (t.prod(a, 1), a.prod(-1, True)),
    THREE,
    dtypes=(*FLOATS, *COMPLEX),
    covers="prod",
)
row("prod of zeros", lambda t, a: (a.prod(0), a.prod(-1, keepdim=True)), ZEROS, covers="prod")
row(
    "prod of one zero",
    lambda t, a: (a[:, :2] * t.tensor([0.0, 1.0]).to(a.dtype)).prod(),
    [In((1, 4))],
    covers="prod",
)
row("prod.dtype", lambda t, a: a.prod(0, dtype=t.float64), [In((3, 4))], smooth=False, covers="prod")
row(
    "prod of halves",
    lambda t, a: a.prod(-1),
    [In((3, 4), "nonzero")],
    dtypes=("float16",),
    order=1,
    covers="prod",
)
row(
    "count_nonzero",
    lambda t, a: (a.count_nonzero(), t.count_nonzero(a, 0), t.count_nonzero(a, dim=(0, 1))),
    [In((3, 4), "ties"), In((0, 3))],
    dtypes=("float32", "int64", "bool", "complex64"),
    smooth=False,
)
row(
    "all of dims",
    lambda t, a: (a.all((0, 1)), a.any(dim=(0, 2), keepdim=True), a.all(dim=()), a[:0].all(), a[:0].any(0)),
    [In((2, 3, 4), "ties")],
    dtypes=("float32", "uint8", "bool"),
    smooth=False,
    covers="all any",
)
row(
    "logsumexp",
    lambda t, a: (t.logsumexp(a, 0), a.logsumexp(-1, keepdim=True), a.logsumexp((0, 1))),
    [In((3, 4)), In((2, 3, 4), "normal", "strided")],
    dtypes=(*FLOATS, *COMPLEX),
)
row(
    "logsumexp of halves",
    lambda t, a: a.logsumexp(1),
    [In((3, 4))],
    dtypes=HALVES,
    order=1,
    covers="logsumexp",
)
row(
    "logsumexp far out",
    lambda t, a: ((a * 1000).logsumexp(1), (a / 0).logsumexp(0), a[:0].logsumexp(0)),
    [In((3, 4), "positive")],
    smooth=False,
    order=1,
    covers="logsumexp",
)
row(
    "logsumexp of integers",
    lambda t, a: a.logsumexp(0),
    [In((3, 4)), In(())],
    dtypes=("int64", "bool"),
    smooth=False,
)
row(
    "softmax.dtype",
    lambda t, a: (
        t.softmax(a, 0, t.float64),
        a.softmax(dim=-1, dtype=t.float32),
        a.log_softmax(-1, t.float64),
    ),
    [In((3, 4)), In(())],
    dtypes=("float32", "float16", "int64"),
    smooth=False,
    order=1,
    covers="softmax log_softmax",
)
row(
    "softmax of nothing",
    lambda t, a: (a.softmax(0), a.softmax(1), a.log_softmax(-1)),
    [In((0, 3))],
    covers="softmax log_softmax",
)

# -- extremes

row(
    "aminmax",
    lambda t, a: (*t.aminmax(a), *a.aminmax(dim=0), *t.aminmax(a, dim=-1, keepdim=True)),
    APART,
    dtypes=HALVES,
)
row(
    "aminmax of ties",
    lambda t, a: a.aminmax(dim=1),
    [In((5, 8), "ties")],
    smooth=False,
    dtypes=ALL,
    covers="aminmax",
)
row("aminmax of one", lambda t, a: a.aminmax(dim=1)[1], [In((5, 8), "apart")], covers="aminmax")
row(
    "max of ties",
    lambda t, a: (t.max(a), a.min(), a.aminmax()[0]),
    [In((5, 8), "ties")],
    smooth=False,
    covers="max min",
)
row(
    "extremes with nan",
    lambda t, a: (a.max(), a.min(), a.amax(0), a.amin(-1), *a.max(1), *a.min(0), a.argmax(1), a.argmin()),
    HOLES,
    dtypes=HALVES,
    smooth=False,
    order=1,
    covers="max min amax amin argmax argmin _max_all _min_all",
)
row(
    "max.other",
    lambda t, a, b: (t.max(a, other=b), a.min(b), a.max(other=b)),
    [(In((3, 4)), In((4,)))],
    covers="max min maximum minimum",
)
row(
    "extremes of bools",
    lambda t, a: (a.max(), *a.min(0), a.amax(1), *a.aminmax()),
    [In((3, 4))],
    dtypes=("bool",),
    smooth=False,
    covers="max min amax",
)

# -- statistics

row(
    "var of complex",
    lambda t, a: (a.var(), a.std(0), a.var(-1, correction=0)),
    [In((3, 4))],
    dtypes=COMPLEX,
    covers="var std",
)
row(
    "dims and corrections as tensors",
    lambda t, a: (
        a.sum(t.tensor(1)),
        a.mean([t.tensor(0)]),
        a.std(0, correction=t.tensor(0)),
        a.cumsum(t.tensor(1)),
    ),
    [In((3, 4))],
    covers="sum mean std",
)
row("var of halves", lambda t, a: (a.var(0), a.std()), [In((6, 4))], dtypes=HALVES, order=1, covers="var std")
row(
    "var, said in every way",
    lambda t, a: (
        t.var(a, False),
        a.var(unbiased=False),
        a.std(0, False),
        a.std(0, True, True),
        t.std(a, (0, 1), keepdim=True, correction=0.5),
        a.var(dim=(0, 1)),
    ),
    [In((3, 4))],
    covers="var std _var _std",
)
row("std of equals", lambda t, a: (a * 0).std(0), [In((3, 4))], smooth=False, order=1, covers="std")
row(
    "var_mean",
    lambda t, a: (*t.var_mean(a), *t.var_mean(a, 0, correction=0), *t.var_mean(a, (0, 1), keepdim=True)),
    [In((3, 4))],
)
row("std_mean", lambda t, a: (*t.std_mean(a, False), *t.std_mean(a, dim=0)), [In((3, 4))])
row("cov", lambda t, a: (t.cov(a), a.cov(correction=0), a[0].cov()), [In((3, 5))], dtypes=(*FLOATS, *COMPLEX))
row("cov of integers", lambda t, a: a.cov(), [In((3, 5))], dtypes=("int64",), smooth=False, covers="cov")
row(
    "cov.weights",
    lambda t, a, f, w: (
        a.cov(fweights=f),
        a.cov(aweights=w),
        t.cov(a, correction=2, fweights=f, aweights=w),
        a.cov(correction=0, aweights=w),
    ),
    [(In((3, 5)), In((5,), "positive", dtype="int64"), In((5,), "positive"))],
    covers="cov",
)
row("corrcoef", lambda t, a: (t.corrcoef(a), a[0].corrcoef()), [In((3, 5))])
row(
    "corrcoef of complex",
    lambda t, a: t.corrcoef(a),
    [In((3, 5))],
    dtypes=COMPLEX,
    smooth=False,
    order=1,
    covers="corrcoef",
)

# -- norms and distances

ORDERS = (0.5, 1, 1.5, 2, 3, math.inf, -math.inf, -1)
row(
    "norm.p",
    lambda t, a: tuple(t.norm(a, p, 1) for p in ORDERS),
    [In((3, 4), "apart_from_zero")],
    order=1,
    covers="norm",
)
row(
    "norm, said in every way",
    lambda t, a: (
        a.norm(),
        a.norm(p=2, dim=1, keepdim=True),
        a.norm(1, (0, 1)),
        t.norm(a, "fro", (0, 1)),
        t.norm(a, None),
        t.norm(a, 2, dtype=t.float64),
    ),
    [In((3, 4), "nonzero"), In((4, 3), "nonzero", "transposed")],
    covers="norm",
)
row(
    "norm of complex",
    lambda t, a: (a.norm(), a.norm(1, 0)),
    [In((3, 4))],
    dtypes=COMPLEX,
    order=1,
    covers="norm",
)
row(
    "norm of matrices",
    lambda t, a: (t.norm(a, "nuc"), a.norm("nuc", (1, 0))),
    [In((3, 4))],
    order=1,
    covers="norm",
)
row("norm of 0-d", lambda t, a: (a.norm(), a.norm(1, 0), a.norm(3)), [In((), "nonzero")], covers="norm")
row("dist", lambda t, a, b: (t.dist(a, b), a.dist(b, 1), t.dist(a, b, p=3)), pairs("apart", "nonzero")[:2])
row(
    "dist.inf",
    lambda t, a, b: t.dist(a, b, math.inf),
    [(In((3, 4), "apart"), In((4,), "nonzero"))],
    covers="dist",
)
row(
    "dist of equals",
    lambda t, a: (t.dist(a, a), t.dist(a, a.detach(), 1)),
    [In((3, 4))],
    smooth=False,
    order=1,
    covers="dist",
)
TABLES = [(In((3, 2)), In((4, 2))), (In((5, 3, 2)), In((4, 2))), (In((0, 2)), In((4, 2)))]
row("cdist", lambda t, a, b: t.cdist(a, b), TABLES, order=1)
row(
    "cdist.p",
    lambda t, a, b: tuple(t.cdist(a, b, p) for p in (0.0, 1.0, 3.0, math.inf)),
    TABLES[:2],
    order=1,
    covers="cdist _differing",
)
row(
    "cdist of ties",
    lambda t, a, b: (t.cdist(a, b, math.inf), t.cdist(a, b, 1.0)),
    [(In((5, 3), "ties"), In((4, 3), "ties"))],
    smooth=False,
    order=1,
    covers="cdist _largest_size",
)
row(
    "cdist of many rows",
    lambda t, a, b: t.cdist(a, b),
    [(In((27, 3)), In((4, 3))), (In((2, 3, 3)), In((26, 3)))],
    order=2,
    covers="_euclidean",
)
row(
    "cdist by a mode",
    lambda t, a, b: tuple(t.cdist(a, b, 2.0, f"{how}use_mm_for_euclid_dist") for how in ("", "donot_")),
    TABLES,
    order=1,
    covers="_euclidean",
)
row("cdist of equals", lambda t, a: t.cdist(a, a), [In((3, 2))], smooth=False, order=1, covers="cdist")
row(
    "renorm",
    lambda t, a: (t.renorm(a, 2, 0, 1.5), a.renorm(1, -1, 2.0), a.renorm(p=3, dim=0, maxnorm=9)),
    [In((3, 4)), In((2, 3, 4))],
)
row("pdist", lambda t, a: (t.pdist(a), t.pdist(a, 1), t.pdist(a, p=3)), [In((4, 3)), In((1, 3))], order=1)
row(
    "pdist of ties",
    lambda t, a: t.pdist(a, math.inf),
    [In((4, 3), "ties")],
    smooth=False,
    order=1,
    covers="pdist",
)
row("sum_to_size", lambda t, a: (a.sum_to_size(4), a.sum_to_size(3, 1), a.sum_to_size((1, 4))), [In((3, 4))])
row("renorm_", lambda t, a: (a * 2).renorm_(2, 1, 1.0), [In((3, 4))], covers="renorm")

# -- out= of composed functions

OUT = functools.partial(row, smooth=False, order=1)
OUT(
    "reductions into out",
    lambda t, a: (
        t.max(a, out=t.empty(0).to(a.dtype)),
        *t.max(a, 0, out=(t.empty(0).to(a.dtype), t.empty(0).long())),
        t.norm(a, out=t.empty(()).to(a.dtype)),
        t.std(a, 0, out=t.empty(0).to(a.dtype)),
        t.nanmean(a, 0, out=t.empty(0).to(a.dtype)),
        t.sum(a, 1, out=t.empty(3).to(a.dtype)),
    ),
    [In((3, 4), grad=False)],
    covers="max norm std nanmean sum",
)
