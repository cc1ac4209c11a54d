"""Rows of the op table: arithmetic of two and three operands, and bounds."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, HALVES, In, ones, pairs, row
from tests.oracle.ways import (
    INTEGERS,
    NUMBERS,
    REAL,
    both_ways,
    in_place,
)

# -- two arguments


SAME = pairs()[:1] + pairs()[7:]
for name in "multiply subtract".split():
    row(
        name,
        lambda t, a, b, n=name: both_ways(t, a, b, n),
        pairs(),
        dtypes=ALL,
        covers="mul" if name[0] == "m" else "sub",
    )
    row(f"{name}_", lambda t, a, b, n=name: in_place(t, a, b, n), SAME)
row("divide", lambda t, a, b: both_ways(t, a, b, "divide"), pairs(right="nonzero"), dtypes=ALL)
row(
    "divide_",
    lambda t, a, b: (in_place(t, a, b, "divide"), in_place(t, a, b, "true_divide")),
    pairs(right="nonzero")[:1],
    covers="true_divide_",
)
row(
    "rsub",
    lambda t, a, b: (t.rsub(a, b), t.rsub(a, 2), t.rsub(a, b, alpha=3)),
    pairs(),
    dtypes=ALL,
    covers="sub",
)
row(
    "atan2",
    lambda t, a, b: (t.atan2(a, b), a.arctan2(b)),
    pairs("nonzero", "nonzero"),
    dtypes=ALL,
    covers="arctan2",
)
row(
    "atan2_",
    lambda t, a, b: (in_place(t, a, b, "atan2"), in_place(t, a, b, "arctan2")),
    pairs("nonzero", "nonzero")[:1],
    covers="arctan2_",
)
row("hypot", lambda t, a, b: both_ways(t, a, b, "hypot"), pairs("nonzero", "nonzero"), dtypes=REAL)
row("hypot_", lambda t, a, b: in_place(t, a, b, "hypot"), pairs("nonzero", "nonzero")[:1])
for name in "logaddexp logaddexp2".split():
    row(name, lambda t, a, b, n=name: both_ways(t, a, b, n), pairs(), dtypes=REAL)
row(
    "logaddexp of complex numbers",
    lambda t, a, b: t.logaddexp(a, b),
    pairs()[:2],
    dtypes=COMPLEX,
    covers="logaddexp",
)
for name in "fmax fmin maximum minimum".split():
    row(
        f"{name}, both ways",
        lambda t, a, b, n=name: both_ways(t, a, b, n),
        pairs("apart", "nonzero"),
        dtypes=EVERY,
        covers=name,
    )
    row(
        f"{name} of nan",
        lambda t, a, b, n=name: (getattr(t, n)(a / a, b), getattr(t, n)(b, a / a)),
        [(In((5, 5), "ties"), In((5, 5), "ties"))],
        smooth=False,
        order=1,
        covers=name,
    )
row(
    "fmod",
    lambda t, a, b: (t.fmod(a, b), a.fmod(b), t.fmod(a, 1.5)),
    pairs("positive", "nonzero"),
    dtypes=FLOATS,
)
row(
    "fmod of integers",
    lambda t, a, b: (t.fmod(a - 4, b), t.fmod(a - 4, 3)),
    pairs("positive", "nonzero"),
    dtypes=("int64", "int32", "int8"),
    covers="fmod",
)
row(
    "fmod_",
    lambda t, a, b: (in_place(t, a, b, "fmod"), in_place(t, a, b, "remainder")),
    pairs("positive", "nonzero")[:1],
    covers="remainder_ remainder",
)
row(
    "division of integers, every sign",
    lambda t, a, b: (
        t.remainder(a - 4, b),
        (a - 4) % -3,
        (a - 4) // 3,
        7 % b,
        7 // b,
        t.div(a - 4, b, rounding_mode="trunc"),
        t.div(a - 4, -3, rounding_mode="floor"),
    ),
    pairs("positive", "positive"),
    dtypes=("int64", "int32", "int8"),
    smooth=False,
    covers="remainder floor_divide truncate_divide _floor_quotient",
)
row(
    "div.floor of fractions",
    lambda t, a, b: t.div(a, b, rounding_mode="floor"),
    pairs(right="nonzero"),
    dtypes=REAL,
    smooth=False,
    covers="_floor_quotient",
)
row(
    "floor_divide_",
    lambda t, a: (a * 3).floor_divide_(2),
    ones("positive"),
    dtypes=INTEGERS,
    covers="floor_divide",
)
row(
    "copysign",
    lambda t, a, b: (t.copysign(a, b), a.copysign(-2), t.copysign(a, 0.5)),
    pairs("nonzero", "nonzero"),
    dtypes=ALL,
    smooth=False,
)
row(
    "copysign at 0",
    lambda t, a, b: t.copysign(a, b),
    [(In((5, 5), "ties"), In((5, 5), "nonzero"))],
    smooth=False,
    order=1,
    covers="copysign",
)
row(
    "copysign_",
    lambda t, a, b: in_place(t, a, b, "copysign"),
    pairs("nonzero", "nonzero")[:1],
    smooth=False,
    covers="copysign",
)
row("nextafter", lambda t, a, b: t.nextafter(a, b), pairs(), dtypes=FLOATS, smooth=False, order=1)
row(
    "nextafter_",
    lambda t, a, b: (a * 1).detach().nextafter_(b.detach()),
    pairs()[:1],
    smooth=False,
    covers="nextafter",
)
row(
    "heaviside",
    lambda t, a, b: t.heaviside(a.detach(), b.detach()),
    pairs("ties"),
    dtypes=EVERY,
    smooth=False,
)
row(
    "heaviside_",
    lambda t, a, b: (a * 1).detach().heaviside_(b.detach()),
    pairs("ties")[:1],
    smooth=False,
    covers="heaviside",
)
EXPONENTS = [
    (In((3, 4)), In((3, 4), "below 5", dtype="int32", grad=False)),
    (In((3, 1)), In((4,), "below 3", dtype="int64", grad=False)),
]
row(
    "ldexp",
    lambda t, a, b: (t.ldexp(a, b), a.ldexp(b), (a * 1).reshape(a.shape).ldexp(b)),
    EXPONENTS,
    dtypes=ALL,
    covers="pow",
)
row("ldexp_", lambda t, a, b: (a * 1).ldexp_(b), EXPONENTS[:1])
row(
    "float_power",
    lambda t, a, b: (t.float_power(a, b), a.float_power(3), t.float_power(2, b)),
    pairs("positive"),
    dtypes=(*FLOATS, "int64"),
    covers="pow to_dtype",
)
row("float_power_", lambda t, a: (a * 1).double().float_power_(2), ones("positive"), covers="pow")
row("pow_ by a tensor", lambda t, a, b: (a * 1).pow_(b), pairs("positive")[:1], covers="pow")
row(
    "pow of complex numbers",
    lambda t, a, b: (t.pow(a, b), a**2, a**0.5, 2**b),
    pairs()[:2],
    dtypes=COMPLEX,
    covers="pow",
)
row(
    "pow, real and complex",
    lambda t, a: (a ** (1 + 2j), (2 - 1j) ** a),
    ones("positive")[:2],
    dtypes=FLOATS,
    order=1,
    covers="pow",
    smooth=False,
)
row(
    "pow of integers by integers",
    lambda t, a, b: (t.pow(a - 2, b - 3), a**3, 2**b, t.square(a)),
    pairs()[:3],
    dtypes=("int64", "int32", "int8"),
    covers="pow square",
)
for exponent in (-0.5, 3, -2, 1, 0):
    row(
        f"pow in half by {exponent}",
        lambda t, a, e=exponent: a**e,
        ones("positive")[:2],
        dtypes=REAL,
        covers="pow",
    )

# -- three arguments

THREE = [
    (In((3, 4)), In((3, 4)), In((3, 4))),
    (In((3, 1)), In((4,)), In(())),
    (In((4, 3), "normal", "transposed"), In((4, 3)), In((1, 3))),
    (In((0, 3)), In((1, 3)), In((3,))),
]
QUOTIENTS = [(a, b, In(c.shape, "nonzero", c.layout)) for a, b, c in THREE]
row("addcmul", lambda t, a, b, c: (t.addcmul(a, b, c), a.addcmul(b, c, value=2)), THREE, dtypes=NUMBERS)
row("addcmul_", lambda t, a, b, c: (a * 1).addcmul_(b, c, value=0.5), THREE[:1], covers="addcmul")
row(
    "addcdiv",
    lambda t, a, b, c: (t.addcdiv(a, b, c), a.addcdiv(b, c, value=2)),
    QUOTIENTS,
    dtypes=(*HALVES, *COMPLEX),
)
row("addcdiv_", lambda t, a, b, c: (a * 1).addcdiv_(b, c, value=0.5), QUOTIENTS[:1], covers="addcdiv")
row(
    "lerp",
    lambda t, a, b, c: (t.lerp(a, b, 0.3), a.lerp(b, 0.8), t.lerp(a, b, c)),
    THREE,
    dtypes=(*HALVES, *COMPLEX),
)
row("lerp_", lambda t, a, b, c: ((a * 1).lerp_(b, 0.3), (a * 1).lerp_(b, c)), THREE[:1], covers="lerp")

# -- bounds

BOUNDS = [
    (In((3, 4)), In((3, 4)), In((3, 4))),
    (In((3, 4)), In((4,)), In(())),
    (In((4, 3), "normal", "transposed"), In((4, 1)), In((1, 3))),
]
row(
    "clamp by tensors",
    lambda t, a, b, c: (
        t.clamp(a, b, c),
        a.clip(min=b),
        t.clamp(a, max=c),
        t.clamp_min(a, b),
        a.clamp_max(c),
    ),
    BOUNDS,
    dtypes=ALL,
    covers="_between _at_least _at_most clip clamp_min clamp_max",
)
row(
    "clamp by tensors at their bounds",
    lambda t, a, b, c: (t.clamp(a, b, c), t.clamp(a, b), t.clamp(a, None, c)),
    [(In((6, 6), "ties"), In((6, 6), "ties"), In((6, 6), "ties"))],
    smooth=False,
    order=1,
    covers="_between",
)
row(
    "clamp_min",
    lambda t, a: (t.clamp_min(a, 0.3), a.clamp_max(0.2), t.clip(a, -0.5, 0.5)),
    ones(),
    dtypes=HALVES,
    covers="_clamp clamp_max clip",
)
row(
    "clamp, one tensor and one number",
    lambda t, a, b: (t.clamp(a, b.detach(), 3), t.clamp(a, -1, b.detach())),
    [(In((3, 4)), In(()))],
    smooth=False,
    covers="_clamp",
)
row(
    "clamp of bools",
    lambda t, a: (t.clamp(a, 0, 1), t.clamp(a, max=0.5)),
    ones()[:2],
    dtypes=("bool",),
    covers="_clamp",
)
row(
    "clamp_min_",
    lambda t, a, b: ((a * 1).clamp_min_(0.3), (a * 1).clamp_max_(b), (a * 1).clip_(-1, 1), (a * 1).clamp_(b)),
    [(In((3, 4)), In((3, 4)))],
    covers="clamp_max_ clip_ _clamp",
)
