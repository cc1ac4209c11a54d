"""Area M: losses, those of PyTorch and those that a user writes; J12: ``F.cross_entropy`` without a reduction."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.inventory.rows import covers
from tests.oracle.compare import assert_same


def _agree(torch: Any, run: Callable[..., Any], *arrays: Any) -> None:
    """The same loss and the same gradient of the first array, in both libraries."""
    results = []
    for t in (distrt, torch):
        x, *others = (t.tensor(each) for each in arrays)
        loss = run(t, x.requires_grad_(), *others)
        results.append((loss, *t.autograd.grad(loss.sum(), x)))
    for ours, theirs in zip(*results, strict=True):
        assert_same(ours, theirs, str(arrays), 10)


@covers("M1")
def test_cross_entropy_of_indices_images_and_probabilities(torch: Any, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((6, 4)).astype(np.float32)
    _agree(torch, lambda t, x, y: t.nn.CrossEntropyLoss()(x, y), logits, rng.integers(0, 4, 6))
    image = rng.standard_normal((2, 4, 3, 5)).astype(np.float32)
    _agree(torch, lambda t, x, y: t.nn.CrossEntropyLoss()(x, y), image, rng.integers(0, 4, (2, 3, 5)))
    shares = rng.dirichlet(np.ones(4), 6).astype(np.float32)
    _agree(torch, lambda t, x, y: t.nn.CrossEntropyLoss()(x, y), logits, shares)
    extremes = np.array([[1000.0, -1000.0], [-1000.0, 1000.0]], np.float32)
    _agree(torch, lambda t, x, y: t.nn.CrossEntropyLoss()(x, y), extremes, np.array([1, 0]))
    assert distrt.nn.CrossEntropyLoss()(distrt.tensor(extremes), distrt.tensor([1, 0])).item() == 2000.0


@covers("M2", "M3")
def test_binary_cross_entropies(torch: Any, rng: np.random.Generator) -> None:
    probabilities = np.concatenate([rng.uniform(0, 1, 6), [0.0, 1.0]]).astype(np.float32)
    labels = np.array([0, 1, 1, 0, 1, 0, 1, 0], np.float32)
    _agree(torch, lambda t, x, y: t.nn.BCELoss()(x, y), probabilities, labels)
    certain = distrt.nn.BCELoss(reduction="none")(distrt.tensor([0.0, 1.0]), distrt.tensor([1.0, 0.0]))
    assert certain.tolist() == [100.0, 100.0]
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        distrt.nn.BCELoss()(distrt.tensor([1.1]), distrt.tensor([1.0]))
    logits = np.array([-1e4, 1e4, 0, 2, -3, 88, -88, 200], np.float32)
    _agree(torch, lambda t, x, y: t.nn.BCEWithLogitsLoss()(x, y), logits, labels)


@covers("M4", "M5", "M6")
def test_losses_of_numbers(torch: Any, rng: np.random.Generator) -> None:
    given, wanted = rng.standard_normal((2, 3, 4)).astype(np.float32) * 2
    for name in ("MSELoss", "L1Loss", "SmoothL1Loss"):
        _agree(torch, lambda t, x, y, n=name: getattr(t.nn, n)()(x, y), given, wanted)
    assert distrt.nn.SmoothL1Loss().beta == 1.0
    with pytest.warns(UserWarning, match=r"Using a target size \(torch.Size\(\[4\]\)\) that is different"):
        loss = distrt.nn.MSELoss()(distrt.tensor(given), distrt.tensor(wanted[0]))
    assert loss.item() == pytest.approx(np.square(given - wanted[0]).mean())


@covers("M7")
def test_negative_log_likelihood(torch: Any, rng: np.random.Generator) -> None:
    logits, target = rng.standard_normal((5, 3)), rng.integers(0, 3, 5)
    _agree(torch, lambda t, x, y: t.nn.NLLLoss()(x.log_softmax(1), y), logits, target)


@covers("M8")
def test_kullback_leibler_divergence(torch: Any, rng: np.random.Generator) -> None:
    logits, target = rng.standard_normal((5, 3)), rng.dirichlet(np.ones(3), 5)
    target[0] = [0, 0, 1]

    def run(t: Any, x: Any, y: Any) -> Any:
        return t.nn.KLDivLoss(reduction="batchmean")(x.log_softmax(1), y)

    _agree(torch, run, logits, target)
    same = distrt.tensor(target)
    assert distrt.nn.KLDivLoss(reduction="batchmean")(same[1:].log(), same[1:]).item() == pytest.approx(
        0, abs=1e-15
    )


@covers("M9")
def test_cosine_embedding_loss_with_integer_targets(torch: Any, rng: np.random.Generator) -> None:
    first, second = rng.standard_normal((2, 4, 3))
    signs = np.array([1, -1, 1, -1])
    _agree(torch, lambda t, x, z, y: t.nn.CosineEmbeddingLoss()(x, z, y), first, second, signs)


@covers("M10")
def test_triplet_margin_loss(torch: Any, rng: np.random.Generator) -> None:
    triplet = rng.standard_normal((3, 4, 8))
    _agree(torch, lambda t, a, p, n: t.nn.TripletMarginLoss(margin=1.0)(a, p, n), *triplet)
    zero = distrt.zeros(1, 4)
    loss = distrt.nn.TripletMarginLoss(margin=1.0)(zero, zero, zero + 5e-7)
    assert distrt.nn.TripletMarginLoss().eps == 1e-6
    assert loss.item() == pytest.approx(1 + 1e-6, rel=1e-6)  # of distances |d + eps| = 2e-6 and 1e-6


def _focal_loss(torch: Any) -> Any:
    F = torch.nn.functional

    class FocalLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, alpha: float = 1, gamma: float = 2, reduction: str = "mean") -> None:
            super().__init__()
            self.alpha = alpha
            self.gamma = gamma
            self.reduction = reduction

        def forward(self, inputs: Any, targets: Any) -> Any:
            ce_loss = F.cross_entropy(inputs, targets, reduction="none")
            pt = torch.exp(-ce_loss)
            focal_loss = self.alpha * (1 - pt) ** self.gamma * ce_loss
            if self.reduction == "mean":
                return focal_loss.mean()
            if self.reduction == "sum":
                return focal_loss.sum()
            return focal_loss

    return FocalLoss


@covers("M11", "J12")
def test_focal_loss(torch: Any, rng: np.random.Generator) -> None:
    logits, target = rng.standard_normal((8, 5)).astype(np.float32), rng.integers(0, 5, 8)
    for reduction, gamma in itertools.product(("mean", "sum", "none"), (2, 0, 0.5)):
        made = {t: _focal_loss(t)(0.25, gamma, reduction) for t in (distrt, torch)}
        _agree(torch, lambda t, x, y, made=made: made[t](x, y), logits, target)
    x, y = distrt.tensor(logits), distrt.tensor(target)
    plain = distrt.nn.CrossEntropyLoss()(x, y)
    assert _focal_loss(distrt)(gamma=0)(x, y).item() == pytest.approx(plain.item(), rel=1e-6)
    assert distrt.nn.functional.cross_entropy(x, y, reduction="none").shape == (8,)


def _dice_loss(torch: Any, pred: Any, target: Any, smooth: float = 1e-6) -> Any:
    pred = torch.sigmoid(pred)
    intersection = (pred * target).sum()
    union = pred.sum() + target.sum()
    dice = (2.0 * intersection + smooth) / (union + smooth)
    return 1 - dice


def _combined_loss(torch: Any) -> Any:
    class CombinedLoss(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, alpha: float = 0.5) -> None:
            super().__init__()
            self.alpha = alpha
            self.ce = torch.nn.CrossEntropyLoss()

        def forward(self, pred: Any, target: Any) -> Any:
            ce_loss = self.ce(pred, target)
            dice = _dice_loss(torch, pred, target)
            return self.alpha * ce_loss + (1 - self.alpha) * dice

    return CombinedLoss


@covers("M12", "M13")
def test_losses_that_a_user_combines(torch: Any, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((4, 3, 5, 5)).astype(np.float32)
    mask = (rng.random((4, 3, 5, 5)) < 0.5).astype(np.float32)
    _agree(torch, _dice_loss, logits, mask)
    made = {t: _combined_loss(t)(alpha=0.3) for t in (distrt, torch)}
    _agree(torch, lambda t, x, y: made[t](x, y), logits, mask)
    assert repr(made[distrt]) == repr(made[torch])


@covers("M14")
def test_a_loss_divided_by_the_steps_adds_up_to_the_whole_batchs(rng: np.random.Generator) -> None:
    accumulation_steps = 4
    data, target = distrt.tensor(rng.standard_normal((16, 6))), distrt.tensor(rng.integers(0, 3, 16))
    model = distrt.nn.Linear(6, 3).double()
    criterion = distrt.nn.CrossEntropyLoss()
    criterion(model(data), target).backward()
    whole = model.weight.grad.clone()
    model.zero_grad()
    for x, y in zip(data.chunk(accumulation_steps), target.chunk(accumulation_steps), strict=True):
        loss = criterion(model(x), y)
        loss = loss / accumulation_steps
        loss.backward()
    assert distrt.allclose(model.weight.grad, whole)
