"""Connectionist temporal classification against PyTorch and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same

DTYPES = ("float64", "float32")

CTC = [
    (6, 5, [[1, 2, 3], [4, 4, 1], [2, 2, 2]], [6, 5, 6], [3, 3, 2], 0),
    (6, 5, [[0, 1, 3], [3, 3, 1], [2, 1, 2]], [6, 6, 4], [3, 2, 1], 4),
    (12, 4, [[1, 1, 1, 2, 3, 3], [1, 2, 3, 1, 2, 3], [2, 0, 0, 0, 0, 0]], [12, 11, 3], [6, 6, 1], 0),
    (3, 4, [[1, 1], [1, 2], [3, 3]], [3, 2, 0], [2, 0, 0], 0),
    (3, 4, [[1, 1, 2], [1, 2, 3], [2, 2, 2]], [3, 3, 2], [3, 3, 2], 0),  # the first and the last cannot be
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("case", range(len(CTC)))
def test_ctc_agrees_with_pytorch(
    case: int, zero_infinity: bool, reduction: str, torch: Any, rng: np.random.Generator
) -> None:
    steps, classes, labels, input_lengths, target_lengths, blank = CTC[case]
    logits = rng.standard_normal((steps, 3, classes))
    flat = [label for row, length in zip(labels, target_lengths, strict=True) for label in row[:length]]
    for dtype in DTYPES:
        for targets in (labels, flat):
            for integers in ("int64", "int32"):
                results = []
                for t in (distrt, torch):
                    x = t.tensor(logits, dtype=getattr(t, dtype), requires_grad=True)
                    lengths = [t.tensor(each) for each in (input_lengths, target_lengths)]
                    given = t.tensor(targets, dtype=getattr(t, integers))
                    loss = t.nn.functional.ctc_loss(
                        x.log_softmax(2), given, *lengths, blank, reduction, zero_infinity
                    )
                    results.append((loss, *t.autograd.grad(loss.sum(), x)))
                for ours, theirs in zip(*results, strict=True):
                    assert_same(ours, theirs, f"{dtype} {targets}", 100)


def test_the_gradient_of_ctc_behind_a_log_softmax_is_its_finite_difference(rng: np.random.Generator) -> None:
    def run(x: Any) -> Any:
        labels = distrt.tensor([[1, 2, 2], [3, 1, 0]])
        return distrt.nn.functional.ctc_loss(x.log_softmax(2), labels, (7, 6), (3, 2), reduction="none")

    x = distrt.tensor(rng.standard_normal((7, 2, 4)), requires_grad=True)
    assert distrt.autograd.gradcheck(run, (x,))


def test_labels_that_are_no_class_are_refused() -> None:
    """PyTorch reads memory that is not its own there."""
    for label in (4, -1):
        with pytest.raises(IndexError, match=f"target {label} is out of bounds for 4 classes"):
            distrt.nn.functional.ctc_loss(distrt.zeros(3, 1, 4), distrt.tensor([[label]]), [3], [1])
    loss = distrt.nn.functional.ctc_loss(distrt.zeros(3, 1, 4), distrt.tensor([[1, 9]]), [3], [1])
    assert distrt.isfinite(loss)  # behind the row's length, anything may stand


def test_a_second_derivative_is_refused_as_in_pytorch(torch: Any, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((4, 1, 3))
    for t in (distrt, torch):
        x = t.tensor(logits, requires_grad=True)
        loss = t.nn.functional.ctc_loss(x.log_softmax(2), t.tensor([[1]]), [4], [1])
        (slope,) = t.autograd.grad(loss, x, create_graph=True)
        with pytest.raises(RuntimeError, match="derivative for aten::_ctc_loss_backward is not implemented"):
            slope.sum().backward()


def test_labels_must_be_a_tensor(torch: Any) -> None:
    for t in (distrt, torch):
        with pytest.raises(TypeError, match=r"ctc_loss\(\)"):
            t.nn.functional.ctc_loss(t.ones(3, 1, 2), [[1]], [3], [1])
