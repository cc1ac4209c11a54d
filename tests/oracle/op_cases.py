"""The table of op cases: one row per operation, and one lambda that runs on distrt and on PyTorch alike.

Read by ``tests/oracle/test_ops.py`` (against PyTorch) and ``tests/core/test_gradcheck.py`` (against finite
differences). A row lists what it covers, and ``test_every_operation_has_a_row`` holds it to that.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

import distrt
from distrt.core.ops import to_device

FLOATS = ("float32", "float64")
HALVES = (*FLOATS, "float16", "bfloat16")
COMPLEX = ("complex64", "complex128")

#: Relative and absolute tolerance of values and gradients, for inputs around 1.  The narrow dtypes need only show that
#: nothing was computed in a narrower one: float64 shows that the formulas are right.
TOLERANCE = {
    "complex128": (1e-10, 1e-12),
    "complex64": (2e-5, 1e-5),
    "float64": (1e-10, 1e-12),
    "float32": (2e-5, 1e-5),
    "float16": (4e-3, 4e-3),
    "bfloat16": (3e-2, 3e-2),
}


@dataclasses.dataclass(frozen=True)
class In:
    """One input: a shape, where its values lie, and how they lie in memory."""

    shape: tuple[int, ...] = (3, 4)
    domain: str = "normal"
    layout: str = "plain"  # or "transposed", "strided", "expanded"
    dtype: str = ""  # the case's own when empty
    grad: bool = True

    def array(self, rng: np.random.Generator, dtype: str) -> np.ndarray[Any, Any]:
        """The values, as float64 or in the input's own dtype; the layout is part of it."""
        kind = self.dtype or dtype
        if self.layout == "expanded":
            repeated = _draw(self.domain, rng, self.shape[1:], kind)
            return np.lib.stride_tricks.as_strided(repeated, self.shape, (0, *repeated.strides))
        if self.layout == "transposed":
            return _draw(self.domain, rng, self.shape[::-1], kind).transpose()
        if self.layout == "strided":
            doubled = (*self.shape[:-1], self.shape[-1] * 2)
            return _draw(self.domain, rng, doubled, kind)[..., ::2]
        return np.asarray(_draw(self.domain, rng, self.shape, kind))


def _draw(domain: str, rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray[Any, Any]:
    kind = np.dtype(_numpy(dtype))
    if kind.kind == "b":
        return rng.random(shape) < 0.5
    if domain.startswith("below "):
        return rng.integers(0, int(domain.split()[1]), shape).astype(kind)
    if kind.kind in "iu":
        return rng.integers(1 if domain in ("positive", "nonzero") else 0, 8, shape).astype(kind)
    if kind.kind == "c":
        return (_draw(domain, rng, shape, "float64") + 1j * _draw(domain, rng, shape, "float64")).astype(kind)
    drawn = {
        "normal": lambda: rng.standard_normal(shape),
        "positive": lambda: rng.uniform(0.5, 2.0, shape),
        "nonzero": lambda: rng.uniform(0.4, 2.0, shape) * rng.choice([-1.0, 1.0], shape),
        "apart": lambda: (rng.permutation(math.prod(shape)).reshape(shape) - 0.4 * math.prod(shape)) / 4,
        "ties": lambda: rng.integers(-2, 3, shape).astype(np.float64),
        "apart_from_zero": lambda: (
            (rng.permutation(math.prod(shape)).reshape(shape) + 1.0) * rng.choice([-0.25, 0.25], shape)
        ),
        "fractions": lambda: rng.uniform(0.05, 0.95, shape),
        "holes": lambda: np.where(rng.random(shape) < 0.25, np.nan, rng.standard_normal(shape)),
        "probabilities": lambda: rng.dirichlet(np.ones(shape[1]), (shape[0],)),
    }[domain]()
    return np.asarray(drawn).astype(kind)


def _numpy(dtype: str) -> Any:
    if dtype == "bfloat16":
        import ml_dtypes

        return ml_dtypes.bfloat16
    return dtype


@dataclasses.dataclass(frozen=True)
class Case:
    """One row with one choice of inputs."""

    row: str
    number: int
    run: Callable[..., Any]
    inputs: tuple[In, ...]
    dtypes: tuple[str, ...]
    smooth: bool  # has a gradient that finite differences can see
    order: int  # how many times the oracle differentiates
    covers: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.row}-{self.number}"

    def arrays(self, seed: int, dtype: str) -> list[np.ndarray[Any, Any]]:
        """The inputs' values, the same for the same seed."""
        rng = np.random.default_rng([seed, zlib.crc32(str(self).encode())])
        return [each.array(rng, dtype) for each in self.inputs]


CASES: list[Case] = []


def row(
    name: str,
    run: Callable[..., Any],
    inputs: Iterable[In | tuple[In, ...]],
    *,
    dtypes: tuple[str, ...] = FLOATS,
    smooth: bool = True,
    order: int = 2,
    covers: str = "",
) -> None:
    """Adds a row: the cases are the entries of ``inputs``. ``covers`` names further ops that it exercises."""
    for number, each in enumerate(inputs):
        given = each if isinstance(each, tuple) else (each,)
        covered = (name, *covers.split())
        CASES.append(Case(name, number, run, given, dtypes, smooth, order, covered))


def ones(domain: str = "normal") -> list[In]:
    """One input: ordinary, 0-d, without elements, and three ways of not being contiguous."""
    return [
        In((3, 4), domain),
        In((), domain),
        In((0, 3), domain),
        In((4, 3), domain, "transposed"),
        In((3, 2), domain, "strided"),
        In((3, 2), domain, "expanded"),
    ]


def pairs(left: str = "normal", right: str = "normal") -> list[tuple[In, In]]:
    """Two inputs: equal shapes, every way of broadcasting, 0-d, no elements, not contiguous."""
    return [
        (In((3, 4), left), In((3, 4), right)),
        (In((3, 1), left), In((1, 4), right)),
        (In((2, 3, 4), left), In((4,), right)),
        (In((1,), left), In((2, 1, 3), right)),
        (In((), left), In((3, 2), right)),
        (In((), left), In((), right)),
        (In((0, 3), left), In((1, 3), right)),
        (In((3, 4), left, "transposed"), In((3, 4), right, "strided")),
        (In((3, 4), left), In((3, 4), right, "expanded", grad=False)),
    ]


INTEGERS = ("int64", "int32", "uint8")
ALL = (*HALVES, *INTEGERS)
EVERY = (*ALL, "bool")
AFFINE = [In((2, 3, 4)), In((), "normal"), In((4, 3, 2), "normal", "transposed")]

# -- arithmetic

row("add", lambda t, a, b: t.add(a, b), pairs(), dtypes=EVERY)
row("add.alpha", lambda t, a, b: t.add(a, b, alpha=3), pairs()[:4], dtypes=ALL, covers="add")
row("sub", lambda t, a, b: t.sub(a, b), pairs(), dtypes=ALL)
row(
    "add.alpha as a tensor",
    lambda t, a, b: (
        t.add(a, b, alpha=t.tensor(3.0)),
        a.sub(b, alpha=t.tensor(2)),
        t.addcmul(a, a, b, value=t.tensor(0.5)),
    ),
    pairs()[:3],
    covers="add",
)
row("sub.alpha", lambda t, a, b: a.sub(b, alpha=2), pairs()[:3], covers="sub")
row(
    "add.alpha of a number",
    lambda t, a: (a.add(2, alpha=3), t.sub(a, 2.5, alpha=2)),
    ones()[:2],
    dtypes=ALL,
    covers="add sub",
)
row(
    "add.alpha of an integer",
    lambda t, a: (a.add(2, alpha=0.5), (a * 1).sub_(3, alpha=0.25)),
    ones()[:2],
    dtypes=HALVES,
    covers="add sub",
)
row("mul", lambda t, a, b: t.mul(a, b), pairs(), dtypes=(*EVERY, *COMPLEX))
row("div", lambda t, a, b: t.div(a, b), pairs(right="nonzero"), dtypes=ALL, covers="true_divide")
row("true_divide", lambda t, a, b: t.true_divide(a, b), pairs(right="nonzero")[:2], dtypes=ALL)
row(
    "div.floor",
    lambda t, a, b: t.div(a, b, rounding_mode="floor"),
    pairs(right="nonzero"),
    dtypes=(*FLOATS, *INTEGERS),
    smooth=False,
    covers="_floor_quotient div",
)
row(
    "floor_divide",
    lambda t, a, b: t.floor_divide(a, b),
    pairs(right="nonzero"),
    dtypes=INTEGERS,
    smooth=False,
)
row(
    "div.trunc",
    lambda t, a, b: t.div(a, b, rounding_mode="trunc"),
    pairs(right="nonzero"),
    dtypes=(*FLOATS, *INTEGERS),
    smooth=False,
    covers="truncate_divide div",
)
row("remainder", lambda t, a, b: t.remainder(a, b), pairs("positive", "nonzero"), dtypes=(*FLOATS, "int64"))
row("scalar right", lambda t, a: (a + 2) * 0.5 - 1.5 / (a * a + 1), ones(), dtypes=ALL, covers="add mul sub")
row("scalar left", lambda t, a: 2 - a + 3 * a, ones(), dtypes=ALL, covers="sub mul add")
row("neg", lambda t, a: t.neg(a), ones(), dtypes=ALL)
row("square", lambda t, a: t.square(a), ones(), dtypes=ALL)
row("clone", lambda t, a: t.clone(a), ones(), dtypes=EVERY)
row("contiguous", lambda t, a: a.contiguous() * 1, ones(), dtypes=ALL, covers="clone")
row("to_dtype", lambda t, a: a.to(t.float64), ones(), dtypes=("float32", "float16", "bfloat16"), smooth=False)
row(
    "to_device",
    lambda t, a: to_device(a, a.device, a.device) if isinstance(a, distrt.Tensor) else a.to("cpu", copy=True),
    ones(),
    dtypes=EVERY,
)
row("to_dtype.narrow", lambda t, a: a.half().float(), ones(), smooth=False, covers="to_dtype")
row(
    "mixed dtypes",
    lambda t, a, b: a * b.double() + b,
    pairs()[:4],
    dtypes=("float32",),
    smooth=False,
    covers="to_dtype",
)

# -- functions of each element

row("exp", lambda t, a: t.exp(a), ones(), dtypes=(*ALL, *COMPLEX))
row("log", lambda t, a: t.log(a), ones("positive"), dtypes=ALL)
row("sqrt", lambda t, a: t.sqrt(a), ones("positive"), dtypes=ALL)
row("rsqrt", lambda t, a: t.rsqrt(a), ones("positive"), dtypes=ALL)
row("reciprocal", lambda t, a: t.reciprocal(a), ones("nonzero"), dtypes=ALL)
row("sin", lambda t, a: t.sin(a), ones(), dtypes=ALL)
row("cos", lambda t, a: t.cos(a), ones(), dtypes=ALL)
row("tanh", lambda t, a: t.tanh(a), ones(), dtypes=ALL)
row("sigmoid", lambda t, a: t.sigmoid(a), ones(), dtypes=ALL)
row("relu", lambda t, a: t.relu(a), ones("nonzero"), dtypes=ALL)
row("relu at 0", lambda t, a: t.relu(a), [In((5, 5), "ties")], smooth=False, covers="relu")
row("abs", lambda t, a: t.abs(a), ones("nonzero"), dtypes=ALL)
row("abs at 0", lambda t, a: t.abs(a), [In((5, 5), "ties")], smooth=False, covers="abs sgn")
row("sign", lambda t, a: t.sign(a), ones("nonzero"), dtypes=EVERY)
row("round", lambda t, a: t.round(a), ones("nonzero"), dtypes=ALL, smooth=False)
row("round to even", lambda t, a: t.round(a / 2), [In((5, 5), "ties")], smooth=False, covers="round")
row("round.decimals", lambda t, a: t.round(a, decimals=1), [In((3, 4))], smooth=False, covers="round")
row("floor", lambda t, a: t.floor(a), ones("nonzero"), dtypes=ALL, smooth=False)
row("ceil", lambda t, a: t.ceil(a), ones("nonzero"), dtypes=ALL, smooth=False)
row("pow", lambda t, a, b: t.pow(a, b), pairs("positive"), dtypes=(*FLOATS, "int64"))
for exponent in (0, 1, 2, 3, 2.0, 0.5, -1, -2):
    row(f"pow.{exponent}", lambda t, a, e=exponent: a**e, [*ones("positive")], covers="pow")
row("pow of integers", lambda t, a: t.stack([a**0, a**2, a**3]), [In((4, 3))], dtypes=INTEGERS, covers="pow")
row(
    "pow at 0",
    lambda t, a, b: t.pow(a, b),
    [(In((5, 5), "ties", grad=False), In((5, 5), "ties"))],
    smooth=False,
    order=1,
)
row("pow of a number", lambda t, a: 2.5**a, ones(), covers="pow")
row("clamp", lambda t, a: t.clamp(a, -0.3, 0.8), ones(), dtypes=HALVES)
row("clamp.min", lambda t, a: t.clamp(a, min=-0.3), ones()[:3], covers="clamp")
row("clamp.max", lambda t, a: a.clamp(max=0.3), ones()[:3], covers="clamp")
row("clamp at its bounds", lambda t, a: t.clamp(a, -1, 1), [In((5, 5), "ties")], smooth=False, covers="clamp")
row(
    "clamp at a rounded bound",
    lambda t, a: t.clamp(t.where(a > 0, a * 0 + 0.8, a * 0 - 0.3), -0.3, 0.8) * a,
    [In((3, 4))],
    dtypes=HALVES,
    smooth=False,
    covers="clamp",
)
row("clamp of integers", lambda t, a: t.clamp(a, 2, 5), ones(), dtypes=INTEGERS, covers="clamp")
row("maximum", lambda t, a, b: t.maximum(a, b), pairs("apart", "nonzero"), dtypes=ALL)
row("minimum", lambda t, a, b: t.minimum(a, b), pairs("apart", "nonzero"), dtypes=ALL)
TIED = [(In((5, 5), "ties"), In((5, 5), "ties"))]
row("maximum of ties", lambda t, a, b: t.maximum(a, b), TIED, smooth=False, covers="maximum")
row("minimum of ties", lambda t, a, b: t.minimum(a, b), TIED, smooth=False, covers="minimum")

# -- comparison and choice

for name in ("eq", "ne", "lt", "le", "gt", "ge"):
    row(name, lambda t, a, b, n=name: getattr(t, n)(a, b), pairs("ties", "ties"), dtypes=EVERY, smooth=False)
row(
    "compare with numbers",
    lambda t, a: t.stack([a > 1, a <= 0.5, a == 2, a > 1]),
    ones("ties"),
    dtypes=EVERY,
    smooth=False,
)
row("logical_not", lambda t, a: t.logical_not(a), ones("ties"), dtypes=EVERY, smooth=False)
row("logical_and", lambda t, a, b: t.logical_and(a, b), pairs("ties", "ties"), dtypes=EVERY, smooth=False)
row("logical_or", lambda t, a, b: t.logical_or(a, b), pairs("ties", "ties"), dtypes=EVERY, smooth=False)
row("isnan", lambda t, a: t.isnan(a / a), ones("ties"), smooth=False, dtypes=HALVES)
row("isfinite", lambda t, a: t.isfinite(1 / a), ones("ties"), smooth=False, dtypes=ALL)
MASK = In((3, 4), dtype="bool", grad=False)
row(
    "where",
    lambda t, c, a, b: t.where(c, a, b),
    [
        (MASK, In(), In()),
        (MASK, In((4,)), In(())),
        (In((), dtype="bool", grad=False), In((2, 1)), In((1, 3))),
    ],
    dtypes=ALL,
    covers="_where zero_unless",
)
row(
    "where with numbers",
    lambda t, c, a: t.where(c, a, 0.5) + t.where(c, 2, a),
    [(MASK, In())],
    covers="where",
)

# -- what many rows share

THREE = [In((2, 3, 4)), In((2, 3, 4), "normal", "strided"), In((4, 3, 2), "normal", "transposed")]
row(
    "broadcasting, twice differentiated", lambda t, a, b: (a * b) * b, pairs()[1:4], covers="mul sum_to_shape"
)

# -- matrix products

PRODUCTS = [
    (In((2, 3)), In((3, 4))),
    (In((2, 3), "normal", "transposed"), In((3, 4), "normal", "strided")),
    (In((5, 2, 3)), In((5, 3, 4))),
    (In((5, 1, 2, 3)), In((4, 3, 2))),
    (In((2, 3)), In((5, 3, 4))),
    (In((3,)), In((3,))),
    (In((3,)), In((3, 4))),
    (In((2, 3)), In((3,))),
    (In((3,)), In((5, 3, 2))),
    (In((5, 2, 3)), In((3,))),
    (In((0, 3)), In((3, 4))),
    (In((2, 0)), In((0, 4))),
]
row("matmul", lambda t, a, b: a @ b, PRODUCTS, dtypes=(*HALVES, *COMPLEX, "int64"), covers="_product")
row("mm", lambda t, a, b: t.mm(a, b), PRODUCTS[:2])
row("bmm", lambda t, a, b: t.bmm(a, b), PRODUCTS[2:3])
row("dot", lambda t, a, b: t.dot(a, b), PRODUCTS[5:6])
LINEAR = [
    (In((5, 3)), In((2, 3)), In((2,))),
    (In((2, 5, 3)), In((4, 3)), In((4,))),
    (In((3,)), In((2, 3)), In((2,))),
]
row(
    "linear",
    lambda t, a, w, b: t.nn.functional.linear(a, w, b),
    [
        *LINEAR,
        (In((0, 3)), In((2, 3)), In((2,))),
        (In((2, 5, 0)), In((3, 0)), In((3,))),
        (In((2, 5, 3)), In((0, 3)), In((0,))),
    ],
    dtypes=HALVES,
    covers="identity",
)
row("linear without bias", lambda t, a, w, b: t.nn.functional.linear(a, w) + b, LINEAR, covers="linear")
row(
    "linear of a frozen input",
    lambda t, a, w, b: t.nn.functional.linear(a.detach(), w, b),
    LINEAR,
    smooth=False,
    covers="linear",
)
