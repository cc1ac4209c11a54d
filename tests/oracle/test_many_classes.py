"""Losses for very many classes: the adaptive softmax, and the linear cross entropy that goes by parts."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same


def test_an_adaptive_softmax_agrees_with_pytorch_class_by_class(torch: Any, rng: np.random.Generator) -> None:
    made = [t.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [3, 6, 12], 2.0, head_bias=True) for t in (distrt, torch)]
    state = {name: rng.standard_normal(tuple(value.shape)) for name, value in made[1].state_dict().items()}
    for t, module in zip((distrt, torch), made, strict=True):
        module.double().load_state_dict({name: t.tensor(value) for name, value in state.items()})
    for rows in (rng.standard_normal((40, 8)), rng.standard_normal((1, 8))):
        ours, theirs = (
            module.log_prob(t.tensor(rows)) for t, module in zip((distrt, torch), made, strict=True)
        )
        assert_same(ours, theirs, "log_prob", 10)
        ours, theirs = (
            module.predict(t.tensor(rows)) for t, module in zip((distrt, torch), made, strict=True)
        )
        assert_same(ours, theirs, "predict")
    for (
        attribute
    ) in "cutoffs shortlist_size n_clusters head_size div_value head_bias in_features n_classes".split():
        assert getattr(made[0], attribute) == getattr(made[1], attribute)
    result = made[0](distrt.ones(2, 8).double(), distrt.tensor([0, 19]))
    assert type(result).__name__ == "_ASMoutput" and result._fields == ("output", "loss")
    made[0].reset_parameters()


def test_the_parts_of_a_linear_cross_entropy_are_of_pytorchs_sizes(torch: Any) -> None:
    for rows, features, classes in ((1, 4, 7), (100, 8, 1000), (512, 64, 128), (64, 64, 8), (1000, 16, 50)):
        for given in (
            {},
            {"batch_chunk_size": 7},
            {"chunking_method": "aspect_ratio"},
            {"chunking_method": None},
        ):
            for dtype in ("float32", "bfloat16"):
                options = [t.nn.LinearCrossEntropyOptions(**given) for t in (distrt, torch)]
                found = options[0].rows_at_a_time(rows, features, classes, getattr(distrt, dtype))
                kind, device = getattr(torch, dtype), torch.device("cpu")
                assert found == options[1]._adjust(rows, features, classes, kind, device).batch_chunk_size
    for t in (distrt, torch):
        clash = t.nn.LinearCrossEntropyOptions(batch_chunk_size=7, chunking_method="aspect_ratio")
        with pytest.raises(ValueError, match="give different chunk sizes"):
            t.nn.functional.linear_cross_entropy(
                t.ones(100, 8), t.ones(1000, 8), t.zeros(100, dtype=t.int64), options=clash
            )


def test_a_linear_cross_entropy_by_parts_never_holds_all_logits(rng: np.random.Generator) -> None:
    rows, matrix = rng.standard_normal((256, 4)), rng.standard_normal((1000, 4))
    target = distrt.tensor(rng.integers(0, 1000, 256))
    peaks, slopes = [], []
    for options in (None, distrt.nn.LinearCrossEntropyOptions(batch_chunk_size=16)):
        x, w = distrt.tensor(rows, requires_grad=True), distrt.tensor(matrix, requires_grad=True)
        tracemalloc.start()
        loss = distrt.nn.functional.linear_cross_entropy(x, w, target, options=options)
        loss.backward()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        slopes.append((x.grad, w.grad))
    assert peaks[1] < peaks[0] / 4
    for ours, theirs in zip(*slopes, strict=True):
        assert distrt.allclose(ours, theirs)


def test_a_linear_cross_entropy_by_parts_has_gradients_of_every_order(rng: np.random.Generator) -> None:
    """PyTorch's has those of the first order only."""
    options = distrt.nn.LinearCrossEntropyOptions(batch_chunk_size=2)
    target = distrt.tensor([0, 6, 2, -100, 2])

    def run(x: Any, w: Any, b: Any) -> Any:
        return distrt.nn.functional.linear_cross_entropy(x, w, target, linear_bias=b, options=options)

    given = [
        distrt.tensor(rng.standard_normal(shape), requires_grad=True) for shape in ((5, 3), (7, 3), (7,))
    ]
    assert distrt.autograd.gradcheck(run, given)
    assert distrt.autograd.gradgradcheck(run, given)


def test_margins_have_gradients_of_every_order(rng: np.random.Generator) -> None:
    """PyTorch's have those of the first order only."""
    x = distrt.tensor(rng.standard_normal((4, 3)), requires_grad=True)
    target, listed = (
        distrt.tensor([0, 2, 1, 1]),
        distrt.tensor([[0, 2, -1], [1, -1, 0], [-1, 0, 0], [0, 1, 2]]),
    )
    weight = distrt.tensor([1.0, 2.0, 0.5], dtype=distrt.float64)
    for reduction in ("mean", "sum", "none"):
        for run in (
            lambda x, r=reduction: distrt.nn.functional.multi_margin_loss(
                x**3, target, 2, 1.5, weight, reduction=r
            ),
            lambda x, r=reduction: distrt.nn.functional.multilabel_margin_loss(x**3, listed, reduction=r),
        ):
            assert distrt.autograd.gradgradcheck(run, (x,))
