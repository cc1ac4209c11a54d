"""Dropout: what it keeps, how it scales, where its randomness comes from."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import distrt as torch
import distrt.nn.functional as F
from distrt import nn

KINDS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
#: Each layer with an input that it takes, and how many dims at its end are dropped together.
SHAPES = {
    nn.Dropout: ((4, 5, 3, 2, 2), 0),
    nn.Dropout1d: ((60, 50, 4), 1),
    nn.Dropout2d: ((60, 50, 2, 3), 2),
    nn.Dropout3d: ((60, 50, 2, 2, 2), 3),
    nn.AlphaDropout: ((40, 40, 2), 0),
    nn.FeatureAlphaDropout: ((60, 50, 2, 3), 2),
}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_of_zeros_is_p_and_the_mean_is_kept(p: float, seed: int) -> None:
    torch.manual_seed(seed)
    count = 200_000
    dropped = nn.Dropout(p)(torch.ones(count))
    share = (dropped == 0).double().mean().item()
    assert share == pytest.approx(p, abs=6 * (p * (1 - p) / count) ** 0.5)
    assert set(dropped.tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}


@pytest.mark.parametrize("kind", KINDS[1:4])
@pytest.mark.parametrize("p", [0.2, 0.6])
def test_whole_channels_are_dropped(kind: Any, p: float, seed: int) -> None:
    torch.manual_seed(seed)
    shape, together = SHAPES[kind]
    dropped = kind(p)(torch.ones(*shape)).flatten(-together)
    assert ((dropped == 0).all(-1) | (dropped == 1 / (1 - p)).all(-1)).all()
    count = dropped[..., 0].numel()
    share = (dropped[..., 0] == 0).double().mean().item()
    assert share == pytest.approx(p, abs=6 * (p * (1 - p) / count) ** 0.5)


@pytest.mark.parametrize("kind", [nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_alpha_dropout_keeps_mean_and_variance(kind: Any, seed: int) -> None:
    torch.manual_seed(seed)
    shape = (400, 500, 1) if kind is nn.FeatureAlphaDropout else (200_000,)
    x = torch.randn(*shape)
    dropped = kind(0.3)(x)
    assert dropped.mean().item() == pytest.approx(0, abs=0.02)
    assert dropped.var().item() == pytest.approx(1, abs=0.04)
    commonest = dropped.flatten().mode().values  # what all dropped elements have in common
    assert 0.28 < (dropped == commonest).double().mean().item() < 0.32


def test_feature_alpha_dropout_takes_whole_channels() -> None:
    dropped = F.feature_alpha_dropout(torch.zeros(20, 30, 5), 0.5, True)
    assert (dropped == dropped[..., :1]).all() and len(set(dropped.flatten().tolist())) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_uses_the_mask_of_the_forward_pass(kind: Any) -> None:
    shape, _ = SHAPES[kind]
    x = torch.zeros(*shape, requires_grad=True)
    out = kind(0.5)(x + 1)
    base = kind(0.5).eval()(x + 1)
    out.sum().backward()
    kept = out.detach() == out.detach().max()
    assert (x.grad[~kept] == 0).all() and (x.grad[kept] > 0).all()
    assert torch.equal(base, torch.ones(*shape))


@pytest.mark.parametrize("kind", KINDS)
def test_evaluation_and_p_0_return_the_values_unchanged(kind: Any) -> None:
    x = torch.randn(*SHAPES[kind][0])
    assert torch.equal(kind(0.5).eval()(x), x) and torch.equal(kind(0.0)(x), x)
    assert kind(p=0.5, inplace=True).eval()(x) is x


def test_nothing_dropped_is_the_input_itself() -> None:
    x = torch.ones(3)
    assert nn.Dropout(0.5).eval()(x) is x
    assert F.dropout(x, 0.0) is x
    assert F.dropout(x, 1.0).tolist() == [0.0, 0.0, 0.0]
    leaf = torch.ones(3, requires_grad=True)
    assert F.dropout(leaf, 0.5, False, True) is leaf and F.dropout(leaf, 0.0, True, True) is leaf
    counts = torch.ones(3, dtype=torch.int64)
    assert F.dropout(counts, 0.0) is counts


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_mask(kind: Any) -> None:
    shape, _ = SHAPES[kind]
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(kind(0.5)(torch.ones(*shape)))
    assert torch.equal(*masks)
    assert not torch.equal(kind(0.5)(torch.ones(*shape)), masks[0])


@pytest.mark.parametrize("kind", KINDS[:4])
def test_in_place_dropout_changes_its_input(kind: Any) -> None:
    x = torch.ones(*SHAPES[kind][0])
    assert kind(0.5, inplace=True)(x) is x
    assert 0.1 < (x == 0).double().mean().item() < 0.9


def test_in_place_dropout_is_recorded(seed: int) -> None:
    torch.manual_seed(seed)
    x = torch.ones(100, requires_grad=True)
    changed = x * 3
    assert F.dropout(changed, 0.5, inplace=True) is changed
    changed.sum().backward()
    assert torch.equal(x.grad, changed.detach())
    channels = torch.ones(50, 4, requires_grad=True)
    changed = channels * 1
    assert F.dropout1d(changed, 0.5, inplace=True) is changed and changed.shape == (50, 4)
    changed.sum().backward()
    assert torch.equal(channels.grad, changed.detach())


def test_in_place_dropout_of_a_leaf_is_refused() -> None:
    with pytest.raises(RuntimeError, match="leaf Variable that requires grad"):
        F.dropout(torch.ones(3, requires_grad=True), 0.5, inplace=True)


def test_unbatched_inputs_drop_their_first_dim() -> None:
    for function, shape in ((F.dropout1d, (300, 4)), (F.dropout3d, (300, 2, 2, 2))):
        dropped = function(torch.ones(*shape), 0.5).flatten(1)
        assert dropped.shape[0] == 300 and (dropped == dropped[:, :1]).all()
        assert 90 < (dropped[:, 0] == 0).sum().item() < 210


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda t: t.nn.functional.dropout2d(t.ones(2, 3, 4), 0.0), ["3D input to dropout2d"]),
        (lambda t: t.nn.functional.dropout2d(t.ones(2, 3), 0.0), ["2-D input to dropout2d"]),
        (lambda t: t.nn.functional.dropout3d(t.ones(2, 3, 4), 0.0), ["3-D input to dropout3d"]),
        (lambda t: t.nn.functional.dropout2d(t.ones(2, 3, 4, 5), 0.5), []),
    ],
)
def test_unusual_dims_are_warned_of_as_in_pytorch(
    call: Callable[[Any], Any], words: list[str], request: pytest.FixtureRequest
) -> None:
    theirs = request.getfixturevalue("torch")
    said = []
    for library in (torch, theirs):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            call(library)
        said.append([(each.category, str(each.message), each.filename) for each in caught])
    assert said[0] == said[1]
    assert [word in message for word, (_, message, _) in zip(words, said[0], strict=True)] == [True] * len(
        words
    )


def test_native_dropout_gives_the_mask() -> None:
    out, mask = torch.native_dropout(torch.ones(1000), 0.5, True)
    assert mask.dtype == torch.bool and torch.equal(out, mask * 2.0)
    out, mask = torch.native_dropout(torch.ones(2, 3), 1.0, True)
    assert not out.any()
    assert mask.tolist() == [[False] * 3] * 2
    out, mask = torch.native_dropout(torch.ones(3), 0.5, False)
    assert out.tolist() == [1, 1, 1] and mask.all()


def test_half_precision_keeps_its_dtype() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        assert F.dropout(torch.ones(8, dtype=dtype), 0.5).dtype is dtype
        assert F.alpha_dropout(torch.ones(8, dtype=dtype), 0.5, True).dtype is dtype
        assert F.dropout1d(torch.ones(8, 2, dtype=dtype), 0.5).dtype is dtype


@pytest.mark.parametrize("p", [-0.1, 1.1])
@pytest.mark.parametrize("kind", KINDS)
def test_a_probability_outside_0_to_1_is_refused(kind: Any, p: float) -> None:
    with pytest.raises(ValueError, match=f"dropout probability has to be between 0 and 1, but got {p}"):
        kind(p)
    with pytest.raises(ValueError, match="has to be between 0 and 1"):
        F.dropout(torch.ones(1), p)


def test_rrelu_draws_a_slope_for_each_negative_element(seed: int) -> None:
    torch.manual_seed(seed)
    layer = nn.RReLU(0.2, 0.6)
    x = torch.full((20_000,), -1.0, requires_grad=True)
    out = layer(x)
    slopes = -out.detach()
    assert 0.2 <= slopes.min().item() < 0.21 and 0.59 < slopes.max().item() <= 0.6
    assert slopes.mean().item() == pytest.approx(0.4, abs=0.01)
    out.sum().backward()
    assert torch.equal(x.grad, slopes)
    assert torch.equal(layer(torch.ones(5)), torch.ones(5))
    assert layer.eval()(torch.tensor([-1.0])).item() == pytest.approx(-0.4)
    torch.manual_seed(7)
    first = F.rrelu(x, training=True)
    torch.manual_seed(7)
    assert torch.equal(F.rrelu(x, training=True), first)


def test_gumbel_softmax_draws_from_the_classes(seed: int) -> None:
    torch.manual_seed(seed)
    chances = torch.tensor([0.5, 0.3, 0.2])
    logits = chances.log().expand(20_000, 3).clone().requires_grad_()
    drawn = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(drawn.detach().round(decimals=5).abs().flatten().tolist()) == {0.0, 1.0}
    assert torch.allclose(drawn.detach().mean(0), chances, atol=0.03)
    (drawn * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert logits.grad.abs().sum().item() > 0
    soft = F.gumbel_softmax(logits.detach(), tau=2.0)
    assert torch.allclose(soft.sum(-1), torch.ones(20_000)) and not ((soft == 0) | (soft == 1)).any()
    with pytest.warns(UserWarning, match="eps"):
        F.gumbel_softmax(logits, eps=1e-5)
