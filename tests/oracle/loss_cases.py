"""The table's rows of losses: the operations behind them, in every dtype and layout. Options: loss_layers.py."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import FLOATS, HALVES, In, row

LAYOUTS = [
    (In((3, 4)), In((3, 4))),
    (In((4, 3), "normal", "transposed"), In((4, 3), "normal", "strided")),
    (In(()), In(())),
    (In((0, 3)), In((0, 3))),
    (In((3, 4), "normal", "expanded"), In((3, 4), grad=False)),
]
FRACTIONS = [
    tuple(In(each.shape, "fractions", each.layout, grad=each.grad) for each in pair) for pair in LAYOUTS
]
SCORES = [(each, fraction) for (each, _), (_, fraction) in zip(LAYOUTS, FRACTIONS, strict=True)]
TARGET = In((4,), "below 3", dtype="int64", grad=False)
PLACES = In((2, 2), "below 3", dtype="int64", grad=False)
CLASSES = [
    (In((4, 3)), TARGET),
    (In((3, 4), "normal", "transposed"), In((3,), "below 4", dtype="int64", grad=False)),
    (In((4, 3), "normal", "strided"), TARGET),
    (In((0, 3)), In((0,), "below 3", dtype="int64", grad=False)),
]
SPATIAL = [
    (In((2, 3, 2)), PLACES),
    (In((2, 3, 2), "normal", "strided"), PLACES),
    (In((2, 3, 2, 2)), In((2, 2, 2), "below 3", dtype="int64", grad=False)),
]


def _with_elements(inputs: list[tuple[In, ...]], reduction: str) -> list[tuple[In, ...]]:
    """The mean of nothing is nan, which has no differences."""
    return [each for each in inputs if reduction != "mean" or 0 not in each[0].shape]


for reduction in ("mean", "sum", "none"):
    for name, given in (("cross_entropy", CLASSES), ("cross_entropy2d", SPATIAL)):
        row(
            f"{name}.{reduction}",
            lambda t, a, y, r=reduction: t.nn.functional.cross_entropy(a, y, reduction=r),
            _with_elements(given, reduction),
            dtypes=HALVES,
            covers="cross_entropy_slope",
        )
    row(
        f"nll_loss2d.{reduction}",
        lambda t, a, y, r=reduction: t.nn.functional.nll_loss(a * a, y, reduction=r),
        SPATIAL,
        dtypes=HALVES,
        covers="nll_loss_route",
    )
    for name in ("mse_loss", "smooth_l1_loss", "huber_loss"):
        row(
            f"{name}.{reduction}",
            lambda t, a, b, n=name, r=reduction: getattr(t.nn.functional, n)(a, b, reduction=r),
            _with_elements(LAYOUTS, reduction),
            dtypes=HALVES,
        )
    row(
        f"binary_cross_entropy.{reduction}",
        lambda t, a, b, r=reduction: t.nn.functional.binary_cross_entropy(a / 2 + 0.25, b, reduction=r),
        _with_elements(FRACTIONS, reduction),
        dtypes=HALVES,
    )
    row(
        f"binary_cross_entropy_with_logits.{reduction}",
        lambda t, a, b, r=reduction: t.nn.functional.binary_cross_entropy_with_logits(a, b, reduction=r),
        _with_elements(SCORES, reduction),
        dtypes=HALVES,
    )
    row(
        f"soft_margin_loss.{reduction}",
        lambda t, a, b, r=reduction: t.nn.functional.soft_margin_loss(a, b.detach().sign(), reduction=r),
        _with_elements(LAYOUTS, reduction),
        dtypes=HALVES,
    )
    row(
        f"multi_margin_loss.{reduction}",
        lambda t, a, y, r=reduction: t.nn.functional.multi_margin_loss(a, y, reduction=r),
        CLASSES[:3],
        order=1,
    )
    row(
        f"multilabel_margin_loss.{reduction}",
        lambda t, a, y, r=reduction: t.nn.functional.multilabel_margin_loss(a, y - 1, reduction=r),
        [(In((4, 3)), In((4, 3), "below 4", dtype="int64", grad=False))],
        order=1,
    )
row(
    "smooth_l1_loss.beta",
    lambda t, a, b: t.nn.functional.smooth_l1_loss(a, b, beta=0.4),
    LAYOUTS[:2],
    dtypes=HALVES,
)
row(
    "huber_loss.delta",
    lambda t, a, b: t.nn.functional.huber_loss(a, b, delta=0.4),
    LAYOUTS[:2],
    dtypes=HALVES,
)


def _ctc(t: Any, logits: Any, labels: Any) -> Any:
    """The losses and their gradient by way of a log-softmax, for which alone it is meant; that has no further one."""
    given = logits.detach().requires_grad_()
    lengths = (t.tensor([6, 5, 6]), t.tensor([2, 2, 0]))
    losses = t.nn.functional.ctc_loss(given.log_softmax(2), labels + 1, *lengths, reduction="none")
    return (losses.detach(), *t.autograd.grad(losses.sum(), given))


LABELS = In((3, 2), "below 3", dtype="int64", grad=False)
row(
    "ctc_loss",
    _ctc,
    [(In((6, 3, 4), grad=False), LABELS), (In((6, 3, 4), "normal", "strided", grad=False), LABELS)],
    dtypes=FLOATS,
    smooth=False,
    covers="_ctc_loss_backward",
)


def _by_parts(t: Any, rows: Any, matrix: Any, bias: Any, target: Any) -> Any:
    options = t.nn.LinearCrossEntropyOptions(batch_chunk_size=3)
    return t.nn.functional.linear_cross_entropy(rows, matrix, target, linear_bias=bias, options=options)


row(
    "linear_cross_entropy",
    _by_parts,
    [(In((4, 2)), In((3, 2)), In((3,)), TARGET)],
    dtypes=FLOATS,
    order=1,
)
