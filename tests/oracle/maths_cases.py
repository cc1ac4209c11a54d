"""Rows of the op table: functions of one element."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, In, ones, row
from tests.oracle.ways import (
    BITS,
    NUMBERS,
    ONLY_OUT_OF_PLACE,
    REAL,
    three_ways,
)

# -- one argument, by where the function is defined; each as function, method and (on a copy) in place


ANYWHERE = "exp exp2 expm1 sin cos tan atan arctan sinh cosh asinh arcsinh tanh sigmoid square"
for name in ANYWHERE.split():
    row(name, lambda t, a, n=name: three_ways(t, a, n), ones(), dtypes=NUMBERS, covers=f"{name}_")
for name in "log log2 log10 log1p sqrt rsqrt reciprocal".split():
    row(name, lambda t, a, n=name: three_ways(t, a, n), ones("positive"), dtypes=NUMBERS, covers=f"{name}_")


def _within(t, a, name):
    """Half of the tangent's range, which is where these are defined."""
    return three_ways(t, t.tanh(a) * 0.9, name)


for name in "asin arcsin acos arccos atanh arctanh".split():
    row(name, lambda t, a, n=name: _within(t, a, n), ones(), dtypes=(*FLOATS, *COMPLEX), covers=f"{name}_")
    row(f"{name}.half", lambda t, a, n=name: getattr(t, n)(a / 8), ones()[:1], dtypes=REAL, order=1)
for name in "acosh arccosh".split():
    row(
        name,
        lambda t, a, n=name: three_ways(t, a + 1, n),
        ones("positive"),
        dtypes=(*FLOATS, "bfloat16", *COMPLEX),
        covers=f"{name}_",
    )
row(
    "inverse functions outside of their domains",
    lambda t, a: tuple(
        getattr(t, n)(a * 2) for n in ("asin", "acos", "atanh", "acosh", "log", "sqrt", "rsqrt")
    ),
    [In((5, 5), "ties")],
    smooth=False,
    order=1,
)
for name in "neg negative abs absolute sgn".split():
    row(
        f"{name}, three ways",
        lambda t, a, n=name: three_ways(t, a, n),
        ones("nonzero"),
        dtypes=ALL,
        covers=f"{name} {name}_",
    )
for name in "ceil floor trunc fix round sign".split():
    row(
        f"{name}, three ways",
        lambda t, a, n=name: three_ways(t, a, n),
        ones("nonzero"),
        dtypes=ALL,
        smooth=False,
        covers=f"{name} {name}_ zeros_of",
    )
row("frac", lambda t, a: three_ways(t, a, "frac"), ones("nonzero"), dtypes=REAL, covers="frac_")
for name in "deg2rad rad2deg".split():
    row(name, lambda t, a, n=name: three_ways(t, a, n), ones(), dtypes=ALL, covers=f"{name}_")
row("sinc", lambda t, a: three_ways(t, a, "sinc"), ones("nonzero"), dtypes=NUMBERS, covers="sinc_")
row("sinc at 0", lambda t, a: t.sinc(a * 0), [In((2, 2))], smooth=False, order=1, covers="sinc")
row("logit", lambda t, a: t.logit(a / 4), ones("positive"), dtypes=ALL)
row("logit.eps", lambda t, a: t.logit(t.sigmoid(a), eps=0.2), ones(), dtypes=FLOATS, covers="logit")
row("logit_", lambda t, a: (a / 4).logit_(0.01), ones("positive"), covers="logit")
row(
    "logit outside",
    lambda t, a: (t.logit(a), t.logit(a, 0.1)),
    [In((5, 5), "ties")],
    smooth=False,
    order=1,
    covers="logit",
)
row("positive", lambda t, a: (t.positive(a), +a, a.positive() * 2), ones(), dtypes=NUMBERS, covers="mul")
row("signbit", lambda t, a: (t.signbit(a), (a * -1).signbit()), ones("ties"), dtypes=ALL, smooth=False)
row(
    "sign of nan",
    lambda t, a: (t.sign(a / a), t.sgn(a / a)),
    [In((5, 5), "ties")],
    smooth=False,
    covers="sign sgn",
)
row("sgn of integers", lambda t, a: t.sgn(a), ones("ties"), dtypes=EVERY, smooth=False, covers="sgn")
row(
    "nan_to_num",
    lambda t, a: (
        t.nan_to_num(1 / a),
        t.nan_to_num(a / a, 2.0),
        (-1 / a).nan_to_num(1, 3, -4),
        (1 / a).nan_to_num_(),
    ),
    [In((5, 5), "ties"), In(())],
    dtypes=REAL,
    smooth=False,
    order=1,
    covers="nan_to_num_",
)
row(
    "nan_to_num of others",
    lambda t, a: t.nan_to_num(a.detach()),
    ones(),
    dtypes=(*BITS, *COMPLEX),
    smooth=False,
    covers="nan_to_num",
)
row(
    "frexp",
    lambda t, a: (*t.frexp(a), a.frexp().mantissa * 3),
    ones("nonzero"),
    dtypes=REAL,
    smooth=False,
    covers="frexp",
)
row("relu_", lambda t, a: (a * 1).relu_() * a, ones("nonzero"), covers="relu")

for name in ONLY_OUT_OF_PLACE:
    row(
        f"{name}_",
        lambda t, a, n=name: getattr(a.detach() / 3 + (n.endswith("cosh")), n + "_")(),
        [In((3, 4), "positive")],
        dtypes=(*FLOATS, *COMPLEX),
        smooth=False,
    )
