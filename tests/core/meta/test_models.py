"""Whole models on the meta device: forward, backward and a step, in no memory and hardly any time."""

from __future__ import annotations

import resource
from typing import Any

import pytest

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from distrt.vision import models

META = torch.device("meta")
MOST_GROWTH_MIB = 200


class Block(nn.Module):
    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.RMSNorm(width), nn.LayerNorm(width)])
        self.attention = nn.ModuleList([nn.Linear(width, width, bias=False) for _ in range(4)])
        self.gate, self.up = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        self.down, self.dropout = nn.Linear(inner, width, bias=False), nn.Dropout(0.1)

    def forward(self, x: Any) -> Any:
        normed = self.norms[0](x)
        q, k, v = (
            each(normed).unflatten(-1, (self.heads, -1)).transpose(1, 2) for each in self.attention[:3]
        )
        found = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=0.1)
        x = x + self.dropout(self.attention[3](found.transpose(1, 2).flatten(2)))
        normed = self.norms[1](x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Language(nn.Module):
    def __init__(self, words: int, width: int, heads: int, inner: int, depth: int) -> None:
        super().__init__()
        self.words = nn.Embedding(words, width)
        self.blocks = nn.ModuleList([Block(width, heads, inner) for _ in range(depth)])
        self.head = nn.Linear(width, words, bias=False)

    def forward(self, tokens: Any) -> Any:
        x = self.words(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def _train(model: nn.Module, inputs: tuple[Any, ...], loss_of: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    optimizer = torch.optim.AdamW(model.parameters())
    loss = loss_of(model(*inputs))
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad.is_meta
        assert parameter.grad.shape == parameter.shape
    optimizer.step()
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert loss.is_meta
    assert loss.shape == ()
    assert grown_mib < MOST_GROWTH_MIB


def test_a_model_of_80_billion_parameters_is_made_at_once() -> None:
    with META:
        model = Language(128256, 8192, 64, 28672, 80)
    assert sum(each.numel() for each in model.parameters()) == 79_949_594_624


def _token_loss(tokens: Any) -> Any:
    return lambda scores: F.cross_entropy(scores.flatten(0, 1), tokens.flatten())


@pytest.mark.ci
def test_a_model_of_80_billion_parameters_is_trained() -> None:
    with META:
        tokens = torch.zeros(8, 4096, dtype=torch.int64)
        _train(Language(128256, 8192, 64, 28672, 80), (tokens,), _token_loss(tokens))


def test_a_small_one_is_trained_in_mixed_precision() -> None:
    with META, torch.autocast("cpu", dtype=torch.bfloat16):
        tokens = torch.zeros(2, 5, dtype=torch.int64)
        _train(Language(7, 8, 2, 12, 1), (tokens,), _token_loss(tokens))


@pytest.mark.ci
@pytest.mark.parametrize("name", ["resnet50", "vit_b_16", "mobilenet_v3_small", "densenet121", "vgg16_bn"])
def test_vision_models_are_trained(name: str) -> None:
    with META:
        classes = torch.zeros(64, dtype=torch.int64)
        _train(
            getattr(models, name)(), (torch.ones(64, 3, 224, 224),), lambda out: F.cross_entropy(out, classes)
        )


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_models_are_trained(kind: Any) -> None:
    with META:
        _train(kind(4096, 4096, 2), (torch.ones(64, 32, 4096),), lambda out: out[0].sum())


@pytest.mark.ci
def test_encoders_and_decoders_are_trained() -> None:
    with META:
        inputs = torch.ones(32, 512, 512), torch.ones(32, 512, 512)
        _train(nn.Transformer(512, batch_first=True), inputs, lambda out: out.mean())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("Adam", {"amsgrad": True}),
        ("AdamW", {"foreach": True}),
        *[(kind, {}) for kind in "Adadelta Adagrad Adamax ASGD NAdam RAdam RMSprop Rprop".split()],
    ],
)
def test_optimizers_take_steps_in_no_memory(kind: str, options: dict[str, Any]) -> None:
    weight = nn.Parameter(torch.empty(10**5, 10**6, device=META))
    optimizer = getattr(torch.optim, kind)([weight], **options)
    for _ in range(2):
        optimizer.zero_grad()
        (weight * 2).sum().backward()
        optimizer.step()
    states = [each for each in optimizer.state[weight].values() if torch.is_tensor(each) and each.ndim]
    assert all(each.is_meta and each.shape == weight.shape for each in states)
