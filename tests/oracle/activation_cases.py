"""Rows of the table of op cases: activations, with the options that no layer passes on; every dtype."""

from __future__ import annotations

from tests.oracle.op_cases import EVERY, FLOATS, HALVES, In, ones, row

TIES = [In((5, 5), "ties")]


def rows(
    name: str,
    *arguments: object,
    order: int = 2,
    covers: str = "",
    dtypes: tuple[str, ...] = HALVES,
    **options: object,
) -> None:
    """The function of that name with these arguments: of all kinds of inputs, and where its slope may jump."""

    def run(t: object, a: object) -> object:
        return getattr(t.nn.functional, name)(a, *arguments, **options)  # type: ignore[attr-defined]

    label = " ".join(map(str, (name, *arguments, *options.values())))
    row(label, run, ones("nonzero"), dtypes=dtypes, order=order, covers=covers or name)
    row(f"{label} of ties", run, TIES, dtypes=FLOATS, smooth=False, order=order, covers=covers or name)


rows("relu6", covers="hardtanh")
rows("hardsigmoid", order=1)
rows("hardswish")
rows("leaky_relu", 0.2)
rows("leaky_relu", -2)
rows("rrelu", covers="_rrelu")
rows("rrelu", 0.3, 0.3, True, covers="_rrelu", dtypes=FLOATS)
rows("hardtanh", -1, 2)
rows("hardshrink", 1)
rows("softshrink", 1)
rows("softshrink", lambd=0)
rows("threshold", 1, -2)
rows("threshold", -1, 7.5)
for _name in "celu elu gelu mish selu silu softplus".split():
    rows(_name)
rows("softsign", covers="true_divide")
rows("tanhshrink", covers="sub")
rows("logsigmoid", covers="log_sigmoid")
rows("elu", -1.5)
rows("celu", 0.7)
rows("celu", -2)
rows("gelu", approximate="tanh")
rows("softplus", 2, 1)
rows("softplus", -1, 3, order=1)

row(
    "activations far from 0",
    lambda t, a: t.stack(
        [
            getattr(t.nn.functional, name)(a * 40)
            for name in "elu gelu logsigmoid mish selu sigmoid silu softplus tanh".split()
        ]
    ),
    [In((4, 4))],
    dtypes=FLOATS,
    smooth=False,
    covers="sigmoid log_sigmoid",
)
row(
    "silu of complex",
    lambda t, a: t.nn.functional.silu(a.detach()),
    ones()[:1],
    dtypes=("complex64", "complex128"),
    order=0,
    smooth=False,
)
row(
    "activations of integers",
    lambda t, a: t.stack(
        [
            t.nn.functional.hardtanh(a, 0.5, 3.7),
            t.nn.functional.relu6(a),
            t.nn.functional.threshold(a, 2.5, 3.7),
            t.threshold(a, 3, 1),
        ]
    ),
    ones()[:4],
    dtypes=("int64", "int32", "uint8", "int8"),
    covers="hardtanh threshold",
)
row("hard ones of wide kinds", lambda t, a: t.relu(a + 0.0), ones()[:1], dtypes=EVERY, covers="relu")

GATED = [In((3, 4)), In((2, 6), "normal", "transposed"), In((0, 4)), In((2, 3, 4), "normal", "strided")]
row("glu", lambda t, a: t.nn.functional.glu(a), GATED[:1] + GATED[2:], dtypes=HALVES)
row("glu of the first dim", lambda t, a: t.nn.functional.glu(a, 0), [In((4, 3)), In((2,))], covers="glu")

row(
    "prelu",
    lambda t, a, w: t.prelu(a, w),
    [
        (In((3, 4), "nonzero"), In((4,))),
        (In((3, 4), "nonzero"), In((1,))),
        (In((3, 4), "nonzero"), In(())),
        (In((2, 4, 3), "nonzero", "strided"), In((4,))),
        (In((5,), "nonzero"), In((1,))),
        (In((), "nonzero"), In((1,))),
        (In((0, 2), "nonzero"), In((2,))),
    ],
    dtypes=HALVES,
    covers="_prelu",
)
row(
    "prelu of ties",
    lambda t, a, w: a.prelu(w),
    [(In((5, 5), "ties"), In((5,)))],
    order=1,
    smooth=False,
    covers="_prelu",
)
row(
    "hardshrink method",
    lambda t, a: a.hardshrink(0.3) + t.hardshrink(a),
    ones("nonzero")[:3],
    covers="hardshrink",
)
row("torch.celu", lambda t, a: t.celu(a, alpha=2.0) + t.selu(a), ones("nonzero")[:3], covers="celu selu")


IN_PLACE = {
    "celu_": (0.5,),
    "elu_": (1.5,),
    "hardtanh_": (-1, 1),
    "leaky_relu_": (0.2,),
    "relu_": (),
    "rrelu_": (0.25, 0.25, True),
    "selu_": (),
    "threshold_": (0.1, 5),
}
for _name, _arguments in IN_PLACE.items():
    row(
        _name,
        lambda t, a, n=_name, g=_arguments: getattr(t.nn.functional, n)(a * 2, *g) * a,
        [In((3, 4), "nonzero"), In((), "nonzero")],
        covers="mul",
    )
for _name in "celu_ relu_ rrelu_ selu_".split():
    row(
        f"torch.{_name}",
        lambda t, a, n=_name: getattr(t, n)(a * 2) * a,
        [In((3, 4), "nonzero")],
        covers="mul",
    )
for _name in "celu elu hardsigmoid hardswish hardtanh leaky_relu mish relu relu6 rrelu selu silu".split():
    row(
        f"{_name} inplace",
        lambda t, a, n=_name: getattr(t.nn.functional, n)((a * 2)[1:], inplace=True) * a[1:],
        [In((3, 4), "nonzero")],
        dtypes=HALVES,
        order=1 if _name == "hardsigmoid" else 2,
        covers="mul",
    )

# -- softmax

WHOLE = [In((3, 4)), In((2, 3, 4), "normal", "transposed"), In((5,)), In((0, 3))]
for _name in "softmax softmin log_softmax".split():
    row(
        f"F.{_name}",
        lambda t, a, n=_name: getattr(t.nn.functional, n)(a, 0) * getattr(t.nn.functional, n)(a, dim=-1),
        WHOLE,
        dtypes=HALVES,
        covers="log_softmax" if _name.startswith("log") else "softmax",
    )
    row(
        f"F.{_name} in float64",
        lambda t, a, n=_name: (
            getattr(t.nn.functional, n)(a, -1, 3, t.float64)
            + getattr(t.nn.functional, n)(a, dim=-1, _stacklevel=5, dtype=t.float64)
        ),
        [In((3, 4)), In(())],
        dtypes=(*HALVES, "int64"),
        smooth=False,
        covers="log_softmax" if _name.startswith("log") else "softmax",
    )
