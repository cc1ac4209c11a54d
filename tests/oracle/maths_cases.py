"""Rows of the op table: functions of each element, comparisons, bits, and complex numbers."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, HALVES, In, ones, pairs, row

INTEGERS = ("int64", "int32", "int8", "uint8")
BITS = (*INTEGERS, "bool")
NUMBERS = (*ALL, *COMPLEX)
REAL = (*FLOATS, "float16", "bfloat16")

# -- one argument, by where the function is defined; each as function, method and (on a copy) in place


#: PyTorch has no derivative of these in place.
_ONLY_OUT_OF_PLACE = ("asinh", "arcsinh", "atanh", "arctanh", "acosh", "arccosh")


def _three_ways(t, a, name):
    found = (getattr(t, name)(a), getattr(a, name)())
    if name not in _ONLY_OUT_OF_PLACE and (a.dtype.is_floating_point or a.dtype.is_complex):
        found += (getattr(a * 1, name + "_")() * a,)
    return found


ANYWHERE = "exp exp2 expm1 sin cos tan atan arctan sinh cosh asinh arcsinh tanh sigmoid square"
for name in ANYWHERE.split():
    row(name, lambda t, a, n=name: _three_ways(t, a, n), ones(), dtypes=NUMBERS, covers=f"{name}_")
for name in "log log2 log10 log1p sqrt rsqrt reciprocal".split():
    row(name, lambda t, a, n=name: _three_ways(t, a, n), ones("positive"), dtypes=NUMBERS, covers=f"{name}_")


def _within(t, a, name):
    """Half of the tangent's range, which is where these are defined."""
    return _three_ways(t, t.tanh(a) * 0.9, name)


for name in "asin arcsin acos arccos atanh arctanh".split():
    row(name, lambda t, a, n=name: _within(t, a, n), ones(), dtypes=(*FLOATS, *COMPLEX), covers=f"{name}_")
    row(f"{name}.half", lambda t, a, n=name: getattr(t, n)(a / 8), ones()[:1], dtypes=REAL, order=1)
for name in "acosh arccosh".split():
    row(
        name,
        lambda t, a, n=name: _three_ways(t, a + 1, n),
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
        lambda t, a, n=name: _three_ways(t, a, n),
        ones("nonzero"),
        dtypes=ALL,
        covers=f"{name} {name}_",
    )
for name in "ceil floor trunc fix round sign".split():
    row(
        f"{name}, three ways",
        lambda t, a, n=name: _three_ways(t, a, n),
        ones("nonzero"),
        dtypes=ALL,
        smooth=False,
        covers=f"{name} {name}_ zeros_of",
    )
row("frac", lambda t, a: _three_ways(t, a, "frac"), ones("nonzero"), dtypes=REAL, covers="frac_")
for name in "deg2rad rad2deg".split():
    row(name, lambda t, a, n=name: _three_ways(t, a, n), ones(), dtypes=ALL, covers=f"{name}_")
row("sinc", lambda t, a: _three_ways(t, a, "sinc"), ones("nonzero"), dtypes=NUMBERS, covers="sinc_")
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

for name in _ONLY_OUT_OF_PLACE:
    row(
        f"{name}_",
        lambda t, a, n=name: getattr(a.detach() / 3 + (n.endswith("cosh")), n + "_")(),
        [In((3, 4), "positive")],
        dtypes=(*FLOATS, *COMPLEX),
        smooth=False,
    )

# -- two arguments


def _both_ways(t, a, b, name):
    return getattr(t, name)(a, b), getattr(a, name)(b)


def _in_place(t, a, b, name):
    return getattr((a * 1).reshape(a.shape), name + "_")(b) * a


SAME = pairs()[:1] + pairs()[7:]
for name in "multiply subtract".split():
    row(
        name,
        lambda t, a, b, n=name: _both_ways(t, a, b, n),
        pairs(),
        dtypes=ALL,
        covers="mul" if name[0] == "m" else "sub",
    )
    row(f"{name}_", lambda t, a, b, n=name: _in_place(t, a, b, n), SAME)
row("divide", lambda t, a, b: _both_ways(t, a, b, "divide"), pairs(right="nonzero"), dtypes=ALL)
row(
    "divide_",
    lambda t, a, b: (_in_place(t, a, b, "divide"), _in_place(t, a, b, "true_divide")),
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
    lambda t, a, b: (_in_place(t, a, b, "atan2"), _in_place(t, a, b, "arctan2")),
    pairs("nonzero", "nonzero")[:1],
    covers="arctan2_",
)
row("hypot", lambda t, a, b: _both_ways(t, a, b, "hypot"), pairs("nonzero", "nonzero"), dtypes=REAL)
row("hypot_", lambda t, a, b: _in_place(t, a, b, "hypot"), pairs("nonzero", "nonzero")[:1])
for name in "logaddexp logaddexp2".split():
    row(name, lambda t, a, b, n=name: _both_ways(t, a, b, n), pairs(), dtypes=REAL)
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
        lambda t, a, b, n=name: _both_ways(t, a, b, n),
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
    lambda t, a, b: (_in_place(t, a, b, "fmod"), _in_place(t, a, b, "remainder")),
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
    lambda t, a, b: _in_place(t, a, b, "copysign"),
    pairs("nonzero", "nonzero")[:1],
    smooth=False,
    covers="copysign",
)
row("nextafter", lambda t, a, b: t.nextafter(a.detach(), b.detach()), pairs(), dtypes=FLOATS, smooth=False)
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

# -- comparison

for name in "not_equal less less_equal greater greater_equal logical_xor".split():
    row(
        name,
        lambda t, a, b, n=name: _both_ways(t, a, b, n),
        pairs("ties", "ties"),
        dtypes=EVERY,
        smooth=False,
    )
IN_PLACE = (
    "eq ne lt le gt ge not_equal less less_equal greater greater_equal logical_and logical_or logical_xor"
)
for name in IN_PLACE.split():
    row(
        f"{name}_",
        lambda t, a, b, n=name: getattr(a.clone().detach(), n + "_")(b.detach()),
        pairs("ties", "ties")[:1],
        dtypes=EVERY,
        smooth=False,
    )
row("logical_not_", lambda t, a: a.detach().clone().logical_not_(), ones("ties"), dtypes=EVERY, smooth=False)
row(
    "eq of complex numbers",
    lambda t, a: (a == a, a != 1, t.eq(a, a.conj())),
    ones(),
    dtypes=COMPLEX,
    smooth=False,
    covers="eq ne",
)
for name in "isinf isposinf isneginf isreal isnan isfinite".split():
    row(
        f"{name}, both ways",
        lambda t, a, n=name: (getattr(t, n)(1 / a), getattr(-1 / a, n)()),
        ones("ties"),
        dtypes=ALL,
        smooth=False,
        covers=name,
    )
row(
    "isreal of complex numbers",
    lambda t, a: (t.isreal(a), t.isreal(a - a), t.isinf(a), t.isnan(a)),
    ones(),
    dtypes=COMPLEX,
    smooth=False,
    covers="isreal",
)
row(
    "isclose",
    lambda t, a, b: (
        t.isclose(a, b),
        a.isclose(a * 1),
        t.isclose(a, b, 0.5, 0.1),
        t.isclose(0 / a, 0 / b, equal_nan=True),
    ),
    pairs("ties", "ties"),
    dtypes=(*REAL, "int64"),
    smooth=False,
)
row(
    "allclose",
    lambda t, a, b: t.tensor(
        [t.allclose(a, b), a.allclose(a), t.equal(a, b), t.equal(a, a.double()), a.equal(b)]
    ),
    pairs("ties", "ties"),
    smooth=False,
    covers="equal isclose",
)
MASK = In((3, 4), dtype="bool", grad=False)
row(
    "where, one argument",
    lambda t, c: t.where(c),
    [In((3, 4), "ties"), In(()), In((0, 2))],
    dtypes=EVERY,
    smooth=False,
    covers="",
)
row(
    "where, method",
    lambda t, c, a, b: (a.where(c, b), a.where(c, 0)),
    [(MASK, In(), In()), (MASK, In((4,)), In(()))],
    dtypes=(*ALL, *COMPLEX),
    covers="where",
)

# -- bits

for name in "bitwise_and bitwise_or bitwise_xor".split():
    row(
        name,
        lambda t, a, b, n=name: (
            *_both_ways(t, a, b, n),
            getattr(t, n)(a, True),
            getattr(a.clone(), n + "_")(True),
        ),
        pairs("below 100", "below 100"),
        dtypes=BITS,
        covers=f"{name}_",
    )
row(
    "operators on bits",
    lambda t, a, b: (a & b, a | b, a ^ b, ~a, True & a, True | a, True ^ a),
    pairs(),
    dtypes=BITS,
    covers="bitwise_not bitwise_and bitwise_or bitwise_xor invert",
)
row(
    "bitwise_not",
    lambda t, a: (t.bitwise_not(a), a.clone().bitwise_not_()),
    ones("below 100"),
    dtypes=BITS,
    covers="bitwise_not_",
)
for name, operator in (
    ("bitwise_left_shift", lambda a, b: (a << b, 3 << b, a << 2)),
    ("bitwise_right_shift", lambda a, b: (a >> b, 99 >> b, a >> 70)),
):
    row(
        name,
        lambda t, a, b, n=name, o=operator: (
            *_both_ways(t, a, b, n),
            *o(a, b),
            getattr(a.clone(), n + "_")(1),
        ),
        pairs("below 100", "below 12"),
        dtypes=INTEGERS,
        covers=f"{name}_",
    )
row(
    "shifts of negative numbers",
    lambda t, a, b: (-a >> b, -a << b, a << (b - 3), a >> (b - 3)),
    pairs("below 100", "below 12"),
    dtypes=("int64", "int32", "int8"),
    covers="bitwise_left_shift bitwise_right_shift",
)
for name in "gcd lcm".split():
    row(
        name,
        lambda t, a, b, n=name: _both_ways(t, a, b, n),
        pairs("below 12", "below 12"),
        dtypes=("int64", "int32", "int16", "uint8"),
    )
    row(
        f"{name}_",
        lambda t, a, b, n=name: getattr(a.clone(), n + "_")(b),
        pairs("below 12", "below 12")[:1],
        dtypes=("int64", "int32"),
    )


def _augmented(t, a, b):
    changed = a.clone()
    changed &= b
    changed |= 9
    changed ^= a
    changed <<= 1
    changed >>= 2
    changed //= 3
    changed %= 5
    changed **= 2
    return changed


row(
    "augmented assignments of integers",
    _augmented,
    pairs("below 50", "below 50")[:1],
    dtypes=("int64", "uint8"),
    covers="",
)

# -- complex numbers

PARTS = [In((3, 4)), In(()), In((4, 3), "normal", "transposed"), In((0, 2))]
row(
    "abs of complex numbers",
    lambda t, a: (t.abs(a), a.abs() ** 2, t.sgn(a)),
    PARTS,
    dtypes=COMPLEX,
    covers="abs sgn",
)
row("angle", lambda t, a: (t.angle(a), a.angle() * 2), PARTS, dtypes=COMPLEX)
row("angle of real numbers", lambda t, a: t.angle(a), ones("nonzero"), dtypes=(*ALL, "bool"), covers="angle")
row(
    "abs and angle at 0",
    lambda t, a: (t.abs(a * 0), t.angle(a * 0), t.sgn(a * 0)),
    [In((2, 2))],
    dtypes=COMPLEX,
    smooth=False,
    order=1,
    covers="abs angle sgn",
)
row("polar", lambda t, a, b: t.polar(a, b), pairs("positive")[:8], dtypes=FLOATS, covers="")
row(
    "conj",
    lambda t, a: (t.conj(a), a.conj() * a, t.conj_physical(a), (a * 1).conj_physical_() * a),
    PARTS,
    dtypes=COMPLEX,
    covers="_conj conj_physical conj_physical_",
)
row(
    "resolve_conj",
    lambda t, a: (t.resolve_conj(a * 1), (a * 1).resolve_neg()),
    PARTS,
    dtypes=(*FLOATS, *COMPLEX),
    covers="resolve_neg",
)
row(
    "conj of real numbers",
    lambda t, a: (t.conj(a) * 1, t.conj_physical(a) * 1),
    ones(),
    dtypes=ALL,
    covers="conj",
)
row(
    "real part of complex numbers",
    lambda t, a: (a.real * 2, t.imag(a) * a.real),
    PARTS,
    dtypes=COMPLEX,
    covers="real imag",
)


def _rotary(t, a):
    """Rotary position embedding as Llama's code writes it."""
    angles = t.outer(t.arange(3).to(a.dtype), t.arange(2).to(a.dtype) / 7) if hasattr(t, "outer") else None
    turns = t.polar(t.ones_like(angles), angles)
    turned = t.view_as_complex(a.reshape(*a.shape[:-1], -1, 2)) * turns
    return t.view_as_real(turned).flatten(1)


row("rotary embedding", _rotary, [In((3, 4))], dtypes=FLOATS, covers="view_as_complex view_as_real polar")

# -- special functions

#: PyTorch's own trigamma is off by up to 2e-9, and that is digamma's derivative.
COARSE = ("float32", "float16", "bfloat16", *INTEGERS)
for name in "erf erfc lgamma digamma i0".split():
    row(
        name,
        lambda t, a, n=name: _three_ways(t, a, n),
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
row("lgamma of negative numbers", lambda t, a: t.lgamma(a * 1.7), ones("nonzero"), covers="lgamma")
row("erfinv", lambda t, a: _three_ways(t, t.tanh(a), "erfinv"), ones(), covers="erfinv_")
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
    lambda t, a, b: (*_both_ways(t, a, b, "xlogy"), t.xlogy(2, b)),
    pairs("normal", "positive"),
    dtypes=ALL,
)
row("xlogy by a number", lambda t, a: t.xlogy(a, 3), ones(), dtypes=("float32", "int64"), covers="xlogy")
row("xlogy_", lambda t, a, b: _in_place(t, a, b, "xlogy"), pairs("normal", "positive")[:1])
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
