"""Rows of the op table: special functions."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, FLOATS, In, ones, pairs, row
from tests.oracle.ways import (
    INTEGERS,
    both_ways,
    in_place,
    three_ways,
)

# -- special functions

#: PyTorch's own trigamma is off by up to 2e-9, and that is digamma's derivative.
COARSE = ("float32", "float16", "bfloat16", *INTEGERS)
for name in "erf erfc lgamma digamma i0".split():
    row(
        name,
        lambda t, a, n=name: three_ways(t, a, n),
        ones("positive"),
        dtypes=COARSE if name == "digamma" else ALL,
        covers=f"{name}_" + (" polygamma" if name == "digamma" else ""),
    )
row(
    "polygamma of order 0",
    lambda t, a: t.polygamma(0, a),
    ones("positive"),
    dtypes=COARSE[:1],
    covers="polygamma",
)
for name in "erf erfc i0".split():
    row(f"{name} of either sign", lambda t, a, n=name: getattr(t, n)(a * 2), ones("nonzero"), covers=name)
row(  # between the poles at -1, -2 and -3
    "lgamma of negative numbers",
    lambda t, a: t.lgamma(t.tanh(a) * 0.3 - 1.5) + t.lgamma(t.tanh(a) * 0.3 - 2.5),
    ones("nonzero"),
    covers="lgamma",
)
row("erfinv", lambda t, a: three_ways(t, t.tanh(a), "erfinv"), ones(), covers="erfinv_")
row("erfinv of halves", lambda t, a: t.erfinv(a / 8), ones(), dtypes=ALL[2:], order=1, covers="erfinv")
for name in "erfcx ndtr ndtri log_ndtr i0e i1 i1e entr expit psi gammaln".split():
    row(
        f"special.{name}",
        lambda t, a, n=name: getattr(t.special, n)(t.sigmoid(a) if n in ("ndtri", "entr") else a + 0.1),
        ones("positive" if name in ("psi", "gammaln") else "nonzero"),
        dtypes=("float32", "int64") if name == "psi" else (*FLOATS, "int64"),
        covers=name if name not in ("expit", "psi", "gammaln") else "",
    )
row(
    "special functions far out",
    lambda t, a: tuple(getattr(t.special, n)(a * 4) for n in ("erfcx", "log_ndtr", "i0e", "i1", "i1e")),
    ones("normal"),
    dtypes=("float64",),
    smooth=False,
    order=1,
)
row(
    "polygamma",
    lambda t, a: (t.polygamma(2, a), a.polygamma(3), (a * 1).polygamma_(2)),
    ones("positive"),
    dtypes=("float64",),
)
row(
    "mvlgamma",
    lambda t, a: (t.mvlgamma(a + 2, 3), (a + 1).mvlgamma(1), (a * 1 + 2).mvlgamma_(2)),
    ones("positive"),
    covers="mvlgamma_",
)
row(
    "special.zeta",
    lambda t, a, b: t.special.zeta((a + 1).detach(), b),
    pairs("positive", "positive"),
    smooth=False,
    covers="zeta",
)
row(
    "zeta of numbers",
    lambda t, a: (t.special.zeta(2, a), t.special.zeta((a + 1).detach(), 1.5)),
    ones("positive"),
    smooth=False,
    covers="zeta",
)
for name in "igamma igammac".split():
    row(
        name,
        lambda t, a, b, n=name: (getattr(t, n)(a.detach(), b), getattr(a.detach() * 9, n)(b * 9)),
        pairs("positive", "positive"),
        smooth=False,
    )
    row(
        f"{name}_",
        lambda t, a, b, n=name: getattr(a.detach() * 1, n + "_")(b.detach()),
        pairs("positive", "positive")[:1],
        smooth=False,
    )
row(
    "xlogy",
    lambda t, a, b: (*both_ways(t, a, b, "xlogy"), t.xlogy(2, b)),
    pairs("normal", "positive"),
    dtypes=ALL,
)
row("xlogy by a number", lambda t, a: t.xlogy(a, 3), ones(), dtypes=("float32", "int64"), covers="xlogy")
row("xlogy_", lambda t, a, b: in_place(t, a, b, "xlogy"), pairs("normal", "positive")[:1])
row(
    "xlog1py", lambda t, a, b: t.special.xlog1py(a, b), pairs("normal", "positive"), dtypes=(*FLOATS, "int64")
)
row(
    "xlogy at 0",
    lambda t, a, b: (t.xlogy(a, b), t.special.xlog1py(a, b - 1), t.special.entr(a)),
    [(In((6, 6), "ties"), In((6, 6), "ties"))],
    smooth=False,
    order=1,
    covers="xlogy xlog1py entr",
)
