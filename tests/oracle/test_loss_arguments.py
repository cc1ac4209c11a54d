"""Arguments, warnings and nodes of losses, which are PyTorch's."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import assert_same

FUNCTIONS = (
    "binary_cross_entropy binary_cross_entropy_with_logits cosine_embedding_loss cross_entropy ctc_loss "
    "gaussian_nll_loss hinge_embedding_loss huber_loss kl_div l1_loss linear_cross_entropy margin_ranking_loss "
    "mse_loss multi_margin_loss multilabel_margin_loss multilabel_soft_margin_loss nll_loss poisson_nll_loss "
    "smooth_l1_loss soft_margin_loss triplet_margin_loss triplet_margin_with_distance_loss"
).split()


def _arguments(function: Any) -> list[tuple[str, Any, Any]]:
    return [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_are_in_pytorchs_order_with_its_defaults(name: str, torch: Any) -> None:
    ours, theirs = getattr(distrt.nn.functional, name), getattr(torch.nn.functional, name)
    assert _arguments(ours) == _arguments(theirs)


@pytest.mark.parametrize("name", distrt.nn.modules.loss.__all__)
def test_layers_take_pytorchs_arguments(name: str, torch: Any) -> None:
    ours, theirs = getattr(distrt.nn.modules.loss, name), getattr(torch.nn.modules.loss, name)
    assert (
        _arguments(ours.__init__)[1:]
        == _arguments(getattr(theirs.__init__, "__wrapped__", theirs.__init__))[1:]
    )
    assert _arguments(ours.forward) == _arguments(theirs.forward)
    assert [each.__name__ for each in ours.__mro__ if "Loss" in each.__name__] == [
        each.__name__ for each in theirs.__mro__ if "Loss" in each.__name__
    ]


def _warned(run: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = run()
    return result, [(each.category.__name__, str(each.message)) for each in caught]


@pytest.mark.parametrize(
    "text",
    [
        "F.mse_loss(x, y, False)",
        "F.l1_loss(x, y, reduce=False)",
        "F.smooth_l1_loss(x, y, size_average=True)",
        "F.mse_loss(x, y, weight=y, size_average=False)",
        "F.l1_loss(x, y, weight=y, reduce=True)",
        "F.binary_cross_entropy(y, y, None, None, False)",
        "F.binary_cross_entropy_with_logits(x, y, size_average=False, reduce=True)",
        "F.kl_div(x, y, False)",
        "F.kl_div(x, y)",
        "F.kl_div(x, y, log_target=True)",
        "F.kl_div(x, y, size_average=True, reduction='batchmean')",
        "F.poisson_nll_loss(x, y, size_average=False)",
        "F.cross_entropy(x, t.tensor([1, 0, 2]), None, False)",
        "F.nll_loss(x, t.tensor([1, 0, 2]), reduce=False)",
        "F.hinge_embedding_loss(x, y, size_average=False)",
        "F.soft_margin_loss(x, y, False)",
        "F.cosine_embedding_loss(x, y, t.tensor([1, -1, 1]), reduce=False)",
        "F.margin_ranking_loss(x, y, y, reduce=False)",
        "F.multi_margin_loss(x, t.tensor([1, 0, 2]), size_average=False)",
        "F.multilabel_margin_loss(x, t.tensor([[1, -1, 0]] * 3), reduce=False)",
        "F.multilabel_soft_margin_loss(x, y, reduce=False)",
        "F.triplet_margin_loss(x, y, y * 2, reduce=False)",
        "F.mse_loss(x, y, reduction='elementwise_mean')",
        "F.mse_loss(x, y[0])",
        "F.huber_loss(x[:1], y)",
        "F.l1_loss(x, y[:, :1])",
        "nn.MSELoss(reduce=False)(x, y)",
        "nn.CrossEntropyLoss(None, False)(x, t.tensor([1, 0, 2]))",
        "nn.KLDivLoss(size_average=False)(x, y)",
        "nn.KLDivLoss()(x, y)",
        "nn.KLDivLoss(log_target=True)(x, y)",
        "nn.TripletMarginLoss(1.0, 2, 1e-6, False, False)(x, y, y * 2)",
        "nn.NLLLoss2d()(x, t.tensor([1, 0, 2]))",
        "F.linear_cross_entropy(x, y, t.tensor([1, 0, 2]), label_smoothing=0.1, "
        "options=nn.LinearCrossEntropyOptions())",
    ],
)
def test_older_arguments_and_odd_sizes_warn_as_in_pytorch(
    text: str, torch: Any, rng: np.random.Generator
) -> None:
    x, y = rng.standard_normal((3, 3)), rng.uniform(0.1, 0.9, (3, 3))
    results = [
        _warned(
            lambda t=t: eval(
                text, {"t": t, "nn": t.nn, "F": t.nn.functional, "x": t.tensor(x), "y": t.tensor(y)}
            )
        )
        for t in (distrt, torch)
    ]
    assert results[0][1] == results[1][1]
    assert results[0][1]
    assert_same(results[0][0], results[1][0], text, 10)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("F.cross_entropy(x, i)", "NllLoss"),
        ("F.cross_entropy(x[..., None], i[:, None])", "NllLoss2D"),
        ("F.mse_loss(x, x * 2)", "MseLoss"),
        ("F.smooth_l1_loss(x, x * 2)", "SmoothL1Loss"),
        ("F.huber_loss(x, x * 2)", "HuberLoss"),
        ("F.binary_cross_entropy(x.sigmoid(), x.sigmoid())", "BinaryCrossEntropy"),
        ("F.binary_cross_entropy_with_logits(x, x)", "BinaryCrossEntropyWithLogits"),
        ("F.soft_margin_loss(x, x.detach())", "SoftMarginLoss"),
        ("F.multi_margin_loss(x, i)", "MultiMarginLoss"),
        ("F.multilabel_margin_loss(x, i[:, None].expand(3, 3))", "MultilabelMarginLoss"),
        ("F.ctc_loss(x[:, None].log_softmax(2), i[None, 1:] * 0 + 1, [3], [1], reduction='none')", "CtcLoss"),
    ],
)
def test_nodes_have_pytorchs_names(text: str, node: str, torch: Any) -> None:
    for t in (distrt, torch):
        x, i = t.ones(3, 3, requires_grad=True), t.tensor([0, 2, 1])
        assert eval(text, {"F": t.nn.functional, "x": x, "i": i}).grad_fn.name() == f"{node}Backward0"
