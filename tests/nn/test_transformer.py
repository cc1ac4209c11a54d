"""Transformers: what their constructors do and warn of, and what evaluation does with padding."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt import nn
from tests.oracle.compare import assert_same, values


def _pair(torch: Any, text: str, rng: np.random.Generator) -> tuple[Any, Any]:
    """The module in both libraries, in float64, with weights as they are drawn at the start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = (eval(text, {"nn": library.nn}).double() for library in (distrt, torch))
    drawn = {name: rng.standard_normal(tuple(each.shape)) / 2 for name, each in ours.state_dict().items()}
    ours.load_state_dict({name: distrt.tensor(array) for name, array in drawn.items()})
    theirs.load_state_dict({name: torch.tensor(array) for name, array in drawn.items()})
    return ours, theirs


def test_the_default_model_has_pytorchs_size_text_and_names(torch: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = nn.Transformer(), torch.nn.Transformer()
    assert sum(each.numel() for each in ours.parameters()) == 44_140_544
    assert repr(ours) == repr(theirs)
    assert [(name, tuple(each.shape)) for name, each in ours.state_dict().items()] == [
        (name, tuple(each.shape)) for name, each in theirs.state_dict().items()
    ]


@pytest.mark.parametrize(
    "text",
    [
        "nn.TransformerEncoderLayer(4, 2)",
        "nn.TransformerEncoderLayer(4, 2, activation='gelu', batch_first=True, norm_first=True)",
        "nn.TransformerEncoderLayer(4, 2, activation=nn.functional.relu6)",
        "nn.TransformerEncoderLayer(4, 2, activation=nn.GELU())",
        "nn.TransformerDecoderLayer(4, 2, bias=False)",
        "nn.TransformerDecoderLayer(4, 2, activation=nn.SiLU())",
    ],
)
def test_layers_have_pytorchs_attributes_and_text(text: str, torch: Any) -> None:
    ours, theirs = (eval(text, {"nn": library.nn}) for library in (distrt, torch))
    assert repr(ours) == repr(theirs)
    assert ours.norm_first == theirs.norm_first
    assert getattr(ours, "activation_relu_or_gelu", None) == getattr(theirs, "activation_relu_or_gelu", None)
    assert ours.linear1.out_features == 2048 and ours.self_attn.dropout == ours.dropout.p == 0.1


@pytest.mark.parametrize(
    "options",
    [
        "",
        "batch_first=True",
        "batch_first=True, norm_first=True",
        "batch_first=True, bias=False",
        "batch_first=True, activation=nn.functional.silu",
        "batch_first=True, nhead=1",
    ],
)
def test_stacks_warn_of_what_pytorch_warns_of(options: str, torch: Any) -> None:
    heads = "" if "nhead" in options else "nhead=2, "
    said = []
    for library in (distrt, torch):
        names = {"nn": library.nn}
        layer = eval(f"nn.TransformerEncoderLayer(4, {heads}{options})", names)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stack = library.nn.TransformerEncoder(layer, 2)
            library.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        said.append(
            ([str(each.message) for each in caught], stack.enable_nested_tensor, stack.use_nested_tensor)
        )
    assert said[0] == said[1]


def test_any_layer_may_be_stacked(torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            library.nn.TransformerEncoder(library.nn.Linear(2, 2), 2)
        said.append([str(each.message) for each in caught])
    assert said[0] == said[1]


def test_copies_start_alike_and_go_their_own_ways() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, batch_first=True)
    stack = nn.TransformerEncoder(layer, 3)
    first, second, _ = stack.layers
    assert distrt.equal(first.linear1.weight, second.linear1.weight)
    assert (
        first.linear1.weight is not second.linear1.weight and first.linear1.weight is not layer.linear1.weight
    )
    model = nn.Transformer(8, 2, 1, 1, batch_first=True)
    bound = math.sqrt(6 / (8 + 2048))
    assert model.encoder.layers[0].linear1.weight.abs().max().item() <= bound  # Xavier, not Linear's own


def test_models_are_copied_and_pickled_whole() -> None:
    model = nn.Transformer(8, 2, 1, 1, 16, batch_first=True).eval()
    src, tgt = distrt.randn(2, 5, 8), distrt.randn(2, 3, 8)
    expected = model(src, tgt)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert distrt.equal(again(src, tgt), expected)


@pytest.mark.parametrize(
    ("size", "dtype"), [(1, "float32"), (4, "float64"), (3, "bool"), (3, "float16"), (0, None)]
)
def test_the_causal_mask(size: int, dtype: str | None, torch: Any) -> None:
    ours, theirs = (
        library.nn.Transformer.generate_square_subsequent_mask(size, dtype=dtype and getattr(library, dtype))
        for library in (distrt, torch)
    )
    assert_same(ours, theirs, "mask")
    assert nn.Transformer(4, 2, 0, 0, batch_first=True).generate_square_subsequent_mask(2).shape == (2, 2)


@pytest.mark.parametrize(
    ("text", "call"),
    [
        ("nn.TransformerEncoderLayer(6, 2, dropout=0.0)", "x, mask"),
        ("nn.TransformerEncoderLayer(6, 3, 5, 0.0, 'gelu', norm_first=True)", "x, mask"),
        ("nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, 0.0, nn.functional.silu), 3)", "x, mask"),
        ("nn.TransformerDecoderLayer(6, 2, 8, 0.0, norm_first=True)", "x, y, mask"),
        (
            "nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, 0.0, 'gelu'), 3, nn.LayerNorm(6))",
            "x, y, mask",
        ),
        ("nn.Transformer(6, 2, 3, 3, 8, 0.0)", "y, x, tgt_mask=mask, src_key_padding_mask=padding"),
        ("nn.Transformer(6, 2, 2, 2, dropout=0.0, norm_first=True)", "y, x, tgt_mask=mask"),
        (
            "nn.Transformer(6, 2, 2, 2, 8, 0.0, 'gelu', bias=False)",
            "y, x, tgt_mask=mask, memory_key_padding_mask=padding",
        ),
    ],
)
def test_deep_models_agree_with_pytorch(text: str, call: str, torch: Any, rng: np.random.Generator) -> None:
    """Outputs and all gradients in training, of stacks and activations that the table of layers leaves out."""
    models = _pair(torch, text, rng)
    x, y = rng.standard_normal((4, 2, 6)), rng.standard_normal((5, 2, 6))
    found = []
    for library, model in zip((distrt, torch), models, strict=True):
        given = {name: library.tensor(array, requires_grad=True) for name, array in {"x": x, "y": y}.items()}
        mask = (
            library.ones(4, 4, dtype=library.float64)
            .triu(1)
            .masked_fill_(library.ones(4, 4).triu(1) == 1, -math.inf)
        )
        padding = library.arange(5) > library.tensor([[3], [2]])
        out = eval(f"model({call})", {"model": model, "mask": mask, "padding": padding, **given})
        (out * library.arange(out.numel()).double().reshape(out.shape).cos()).sum().backward()
        leaves = {**{name: each for name, each in given.items() if name in call.split(", ")}}
        leaves.update(model.named_parameters())
        found.append({"out": out, **{name: each.grad for name, each in leaves.items()}})
    assert list(found[0]) == list(found[1])
    for name, mine in found[0].items():
        assert_same(mine, found[1][name], name, 100)


MASKS = {
    "none": lambda t: None,
    "at the end": lambda t: t.arange(5) > t.tensor([[4], [1], [2]]),
    "all of one": lambda t: t.arange(5) > t.tensor([[4], [-1], [2]]),
    "in the middle": lambda t: t.arange(5) == t.tensor([[1], [2], [4]]),
    "numbers": lambda t: -1e9 * (t.arange(5) > t.tensor([[4], [1], [2]])).double(),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    "text",
    [
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), 2, nn.LayerNorm(4))",
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, activation='gelu', batch_first=True), 1)",
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, batch_first=True), 2, None, False)",
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 6, norm_first=True, batch_first=True), 2)",
        "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 1, 6, batch_first=True), 2)",
    ],
)
def test_evaluation_without_gradients_gives_pytorchs_numbers(
    text: str, mask: str, torch: Any, rng: np.random.Generator
) -> None:
    """PyTorch cuts padding off at the end of sequences there, and its outputs are 0 before the last norm."""
    ours, theirs = _pair(torch, text, rng)
    x = rng.standard_normal((3, 5, 4))
    for recorded in (False, True):
        found = []
        for library, module in ((distrt, ours), (torch, theirs)):
            with warnings.catch_warnings(), library.set_grad_enabled(recorded):
                warnings.simplefilter("ignore")  # of nested tensors, which are a prototype
                found.append(module.eval()(library.tensor(x), src_key_padding_mask=MASKS[mask](library)))
        mine, expected = (values(each) for each in found)
        # Where a whole sequence is padding and PyTorch computes it nevertheless, its fast path has NaN, ours has not.
        kept = ~np.isnan(expected)
        assert kept.all() or (mask == "all of one" and not recorded)
        np.testing.assert_allclose(mine[kept], expected[kept], 1e-9, 1e-11)
        assert np.isfinite(mine).all()


def test_the_hint_and_the_mask_say_the_same() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    stack = nn.TransformerEncoder(layer, 2)
    x = distrt.randn(2, 6, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    expected = stack(x, mask, is_causal=False)
    for found in (stack(x, mask), stack(x, mask, is_causal=True), stack(x, mask == -math.inf)):
        assert distrt.allclose(found, expected, atol=1e-5)
    cut = stack(x[:, :4], mask[:4, :4])
    assert distrt.allclose(cut, expected[:, :4], atol=1e-5)


def test_dropout_acts_in_training_alone() -> None:
    distrt.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5)
    x = distrt.randn(6, 2, 8)
    assert not distrt.equal(layer(x), layer(x))
    layer.eval()
    assert distrt.equal(layer(x), layer(x))
