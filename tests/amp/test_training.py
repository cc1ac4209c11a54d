"""Thirty steps of training in mixed precision, beside PyTorch's with the same weights and batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt

STEPS = 30


def _cnn(t: Any) -> Any:
    nn = t.nn
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def _transformer(t: Any) -> Any:
    nn = t.nn

    class Classifier(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Linear(8, 16)
            layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.encoder(self.embed(x.squeeze(1))).mean(1))

    return Classifier()


def _losses(t: Any, build: Any, state: Any, batches: Any, narrow: str, scaled: bool) -> list[float]:
    model = build(t)
    model.load_state_dict({name: t.tensor(value) for name, value in state.items()})
    optimizer = t.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = t.amp.GradScaler("cpu", init_scale=2.0**20, growth_interval=10, enabled=scaled)
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        with t.autocast("cpu", dtype=getattr(t, narrow), enabled=narrow != "float32"):
            loss = t.nn.functional.cross_entropy(model(t.from_numpy(images)), t.from_numpy(labels))
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        t.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert all(each.dtype == t.float32 and each.grad.dtype == t.float32 for each in model.parameters())
    return [*losses, scaler.get_scale()]


@pytest.mark.parametrize("narrow, scaled", [("bfloat16", False), ("bfloat16", True), ("float16", True)])
@pytest.mark.parametrize("build", [_cnn, _transformer], ids=["cnn", "transformer"])
def test_training_follows_pytorch(
    build: Any, narrow: str, scaled: bool, torch: Any, rng: np.random.Generator
) -> None:
    labels = rng.integers(0, 10, (STEPS, 16))
    patterns = rng.standard_normal((10, 1, 8, 8))
    images = patterns[labels] + 0.3 * rng.standard_normal((STEPS, 16, 1, 8, 8))
    batches = list(zip(images.astype(np.float32), labels, strict=True))
    state = {name: value.numpy() for name, value in build(torch).state_dict().items()}
    ours = _losses(distrt, build, state, batches, narrow, scaled)
    theirs = _losses(torch, build, state, batches, narrow, scaled)
    exact = _losses(torch, build, state, batches, "float32", scaled)
    assert ours[-1] == theirs[-1]  # the same steps were skipped
    assert theirs[-2] < 0.7 * theirs[0]
    lost = max(abs(a - b) for a, b in zip(theirs, exact, strict=True)) if narrow == "bfloat16" else 0.0
    np.testing.assert_allclose(ours, theirs, rtol=0.05, atol=0.05 + 3 * lost)
