"""Area I: the transformer and its parts, called as the documents call them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from tests.inventory.rows import covers
from tests.oracle.compare import assert_same


def _with_the_same_weights(oracle: Any, ours: Any, make: Any) -> Any:
    """PyTorch's module with the weights of ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the order of dims
        theirs = make(oracle.nn)
    theirs.load_state_dict(
        {name: oracle.from_numpy(each.numpy()) for name, each in ours.state_dict().items()}
    )
    return theirs


def _tensors(oracle: Any, rng: np.random.Generator, *shape: int) -> tuple[Any, Any]:
    drawn = rng.standard_normal(shape).astype(np.float32)
    return torch.from_numpy(drawn), oracle.from_numpy(drawn)


@covers("I20")
def test_the_whole_transformer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = nn.Transformer(d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6)
    assert sum(p.numel() for p in model.parameters()) == 44_140_544
    assert not model.batch_first
    assert isinstance(model.encoder.norm, nn.LayerNorm) and isinstance(model.decoder.norm, nn.LayerNorm)
    out = model(torch.rand(10, 2, 512), torch.rand(7, 2, 512))
    assert out.shape == (7, 2, 512)
    out.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@covers("I21")
def test_an_encoder_layer_by_its_defaults(torch: Any, rng: np.random.Generator) -> None:
    layer = nn.TransformerEncoderLayer(d_model=512, nhead=8)
    assert layer.linear1.out_features == 2048 and layer.dropout.p == layer.self_attn.dropout == 0.1
    assert layer.activation is nn.functional.relu and not layer.norm_first
    assert layer.self_attn.in_proj_weight.shape == (1536, 512)
    theirs = _with_the_same_weights(torch, layer, lambda nn: nn.TransformerEncoderLayer(d_model=512, nhead=8))
    mine, reference = _tensors(torch, rng, 5, 2, 512)
    assert_same(layer.eval()(mine), theirs.eval()(reference), "output", 10)


@covers("I22")
@pytest.mark.parametrize("batch_first", [True, False])
def test_an_encoder_layer_by_keywords(batch_first: bool, torch: Any, rng: np.random.Generator) -> None:
    d_model, nhead = 16, 4

    def make(nn: Any) -> Any:
        return nn.TransformerEncoderLayer(
            d_model, nhead, dim_feedforward=32, dropout=0.1, batch_first=batch_first
        )

    layer = make(nn)
    theirs = _with_the_same_weights(torch, layer, make)
    mine, reference = _tensors(torch, rng, 3, 6, 16)
    assert_same(layer.eval()(mine), theirs.eval()(reference), "output", 10)


@covers("I23")
def test_a_stack_of_encoder_layers(torch: Any, rng: np.random.Generator) -> None:
    def make(nn: Any) -> Any:
        encoder_layer = nn.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32, batch_first=True)
        return nn.TransformerEncoder(encoder_layer, num_layers=6)

    encoder = make(nn)
    first, *others = encoder.layers
    assert len(others) == 5
    for other in others:
        for (name, mine), theirs in zip(first.named_parameters(), other.parameters(), strict=True):
            assert mine is not theirs and mine.tolist() == theirs.tolist(), name
    reference = _with_the_same_weights(torch, encoder, make)
    mine, given = _tensors(torch, rng, 2, 5, 16)
    padding = np.arange(5) >= np.array([[4], [2]])
    for training in (True, False):  # in evaluation PyTorch takes another path, to the same numbers
        for each in (encoder, reference):
            each.train(training)
            for module in each.modules():
                module.p = 0.0 if hasattr(module, "p") else None
                if hasattr(module, "head_dim"):
                    module.dropout = 0.0
        out = encoder(mine, src_key_padding_mask=_ours(padding))
        expected = reference(given, src_key_padding_mask=torch.from_numpy(padding))
        assert_same(out, expected, f"training: {training}", 10)


def _ours(array: np.ndarray[Any, Any]) -> Any:
    return torch.from_numpy(array)


@covers("I26")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.MultiheadAttention(8, 2, batch_first=True),
        lambda: nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True),
        lambda: nn.TransformerDecoderLayer(8, 2, 16, activation="gelu", batch_first=True),
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), 2
        ),
        lambda: nn.Transformer(8, 2, 1, 1, 16, activation="gelu", batch_first=True),
    ],
    ids=["MultiheadAttention", "EncoderLayer", "DecoderLayer", "Encoder", "Transformer"],
)
def test_gradients_are_finite_differences(make: Any, dtype: str) -> None:
    torch.manual_seed(0)
    module = make().eval().to(getattr(torch, dtype))
    x, y = (
        torch.randn(2, 4, 8, dtype=getattr(torch, dtype)),
        torch.randn(2, 3, 8, dtype=getattr(torch, dtype)),
    )
    given = {"MultiheadAttention": (x, y, y), "TransformerDecoderLayer": (x, y), "Transformer": (x, y)}
    inputs = given.get(type(module).__name__, (x,))
    parameters = list(module.parameters())

    def loss() -> Any:
        out = module(*inputs)
        out = out[0] if isinstance(out, tuple) else out
        return (out.double() * torch.arange(out.numel()).double().reshape(out.shape).cos()).sum()

    loss().backward()
    size = sum((p.grad**2).sum().item() for p in parameters) ** 0.5
    directions = [p.grad / size + torch.randn_like(p) / 100 for p in parameters]
    slope = sum((p.grad * d).double().sum().item() for p, d in zip(parameters, directions, strict=True))
    step, tolerance = (1e-6, 1e-6) if dtype == "float64" else (2e-3, 1e-2)
    ends = []
    with torch.no_grad():
        for sign in (1, -2):
            for p, d in zip(parameters, directions, strict=True):
                p.add_(d, alpha=sign * step)
            ends.append(loss().item())
    measured = (ends[0] - ends[1]) / (2 * step)
    assert slope == pytest.approx(measured, rel=tolerance, abs=tolerance)
