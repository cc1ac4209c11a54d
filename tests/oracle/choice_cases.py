"""Rows of the op table: comparisons, bits, and complex numbers."""

from __future__ import annotations

from tests.oracle.op_cases import ALL, COMPLEX, EVERY, FLOATS, In, ones, pairs, row
from tests.oracle.ways import (
    BITS,
    INTEGERS,
    REAL,
    both_ways,
)

# -- comparison

for name in "not_equal less less_equal greater greater_equal logical_xor".split():
    row(
        name,
        lambda t, a, b, n=name: both_ways(t, a, b, n),
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
            *both_ways(t, a, b, n),
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
            *both_ways(t, a, b, n),
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
        lambda t, a, b, n=name: both_ways(t, a, b, n),
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
