"""Area L: initial values; of area I: embeddings; of area X: clipping gradients."""

from __future__ import annotations

import math

import pytest

import distrt as torch
from distrt import nn
from tests.inventory.rows import covers


@covers("L1")
def test_xavier() -> None:
    weight = nn.Linear(300, 200).weight
    bound = math.sqrt(6 / 500)
    assert nn.init.xavier_uniform_(weight) is weight
    assert 0.99 * bound < weight.abs().max().item() <= bound
    assert nn.init.xavier_normal_(weight).std().item() == pytest.approx(math.sqrt(2 / 500), rel=0.05)
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        nn.init.xavier_uniform_(torch.empty(3))


@covers("L2")
def test_kaiming() -> None:
    w = nn.Conv2d(30, 60, 3).weight
    assert nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu") is w
    assert w.std().item() == pytest.approx(math.sqrt(2 / (60 * 9)), rel=0.05)
    nn.init.kaiming_uniform_(w, nonlinearity="relu")
    assert w.abs().max().item() == pytest.approx(math.sqrt(6 / (30 * 9)), rel=0.02)


@covers("L3")
def test_plain_fills() -> None:
    t = nn.Parameter(torch.empty(100, 100))
    assert nn.init.zeros_(t) is t and not t.any()
    assert nn.init.ones_(t) is t and (t == 1).all()
    assert nn.init.constant_(t, 0.3) is t and (t == 0.3).all()
    assert nn.init.normal_(t, mean=1.0, std=0.02) is t and t.mean().item() == pytest.approx(1, abs=0.01)
    assert nn.init.uniform_(t, a=-0.1, b=0.1) is t and t.abs().max() <= 0.1
    assert t.is_leaf and t.grad_fn is None and t.requires_grad


@covers("L4")
def test_orthogonal() -> None:
    for shape in ((20, 30), (30, 20)):
        weight = nn.init.orthogonal_(torch.empty(shape))
        short = weight if shape[0] < shape[1] else weight.t()
        assert torch.allclose(short @ short.t(), torch.eye(20), atol=1e-5)


@covers("I24")
def test_embedding() -> None:
    layer = nn.Embedding(num_embeddings=10000, embedding_dim=256)
    assert layer.weight.shape == (10000, 256)
    assert abs(layer.weight.mean().item()) < 0.01 and abs(layer.weight.std().item() - 1) < 0.01
    words = torch.tensor([[3, 7, 3], [9999, 0, 3]])
    out = layer(words)
    assert out.shape == (2, 3, 256) and torch.equal(out[1, 0], layer.weight[9999])
    out.sum().backward()
    assert (layer.weight.grad[3] == 3).all() and (layer.weight.grad[7] == 1).all()
    assert layer.weight.grad.sum() == 6 * 256
    for wrong in (10000, -1):
        with pytest.raises(IndexError, match="index out of range in self"):
            layer(torch.tensor([wrong]))
    with pytest.raises(RuntimeError, match="Long, Int"):
        layer(torch.tensor([1.0]))


@covers("X1")
def test_clip_grad_norm() -> None:
    model = nn.Linear(4, 3)
    (model(torch.ones(2, 4)) * 100).sum().backward()
    before = math.sqrt(sum((p.grad**2).sum().item() for p in model.parameters()))
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
    assert norm.item() == pytest.approx(before, rel=1e-5)
    after = math.sqrt(sum((p.grad**2).sum().item() for p in model.parameters()))
    assert after == pytest.approx(before / (before + 1e-6), rel=1e-5)


@covers("X2")
def test_clip_grad_value() -> None:
    model = nn.Linear(4, 3)
    (model(torch.ones(2, 4)) * 100).sum().backward()
    torch.nn.utils.clip_grad_value_(model.parameters(), clip_value=0.5)
    assert all((p.grad == 0.5).all() for p in model.parameters())
