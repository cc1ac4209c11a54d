"""Attention block by block: the plan that the fused operation follows, its dropout, and what the layers warn of."""

from __future__ import annotations

import math
import tracemalloc
import warnings
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.kernels.attention.plan import Plan
from distrt.core.ops import attention as fused
from distrt.core.ops.nn.attention import _plain_attention
from distrt.core.random.draws import Replay
from distrt.nn import functional as F
from distrt.nn.attention import SDPBackend, sdpa_kernel
from tests.oracle.compare import assert_same

SHAPES = [
    ((2, 3, 7, 4), (2, 3, 7, 4)),
    ((2, 3, 7, 4), (2, 3, 11, 4)),
    ((2, 3, 11, 4), (2, 3, 5, 4)),
    ((2, 2, 1, 7, 4), (2, 1, 3, 9, 4)),
    ((9, 4), (9, 4)),
    ((3, 9, 4), (9, 4)),
]


@pytest.fixture(params=[(1, 1), (8, 2), (30, 3), (200, 5)], ids=str)
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks far smaller than usual, so that small inputs have many."""
    scores, rows = request.param
    monkeypatch.setitem(Plan.groups.__globals__, "BLOCK", scores)
    monkeypatch.setitem(Plan.groups.__globals__, "CAUSAL_ROWS", rows)


def _drawn(rng: np.random.Generator, *shape: int) -> Any:
    return distrt.from_numpy(np.asarray(rng.standard_normal(shape))).requires_grad_()


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("dropout_p", [0.0, 0.3])
@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("masked", ["", "bools", "numbers", "one for all"])
def test_blocks_compute_what_the_plain_form_does(
    shapes: Any, is_causal: bool, dropout_p: float, masked: str, rng: np.random.Generator
) -> None:
    first, second = shapes
    query, key, value = _drawn(rng, *first), _drawn(rng, *second), _drawn(rng, *second)
    scores = (*np.broadcast_shapes(first[:-2], second[:-2]), first[-2], second[-2])
    mask = {
        "": lambda: None,
        "bools": lambda: distrt.from_numpy(rng.random((*scores[:-2], 1, scores[-1])) < 0.7),
        "numbers": lambda: _drawn(rng, *scores[1:-2], scores[-2], 1),
        "one for all": lambda: _drawn(rng, *scores[-2:]),
    }[masked]()
    leaves = [each for each in (query, key, value, mask) if each is not None and each.requires_grad]
    found, draws = [], Replay() if dropout_p else None
    for function in (fused, _plain_attention):
        out = function(query, key, value, mask, is_causal, 0.4, dropout_p, draws)
        weights = distrt.arange(out.numel(), dtype=distrt.float64).reshape(out.shape).cos()
        found.append([out, *distrt.autograd.grad((out * weights).sum(), leaves)])
    for number, (mine, plain) in enumerate(zip(*found, strict=True)):
        assert_same(mine, plain, str(number))


def test_gradients_of_dropout_are_differentiable(rng: np.random.Generator) -> None:
    given = [_drawn(rng, 2, 5, 3) for _ in range(3)]

    draws = Replay()

    def run(*tensors: Any) -> Any:
        return fused(*tensors, None, True, 0.5, 0.4, draws)

    assert distrt.autograd.gradcheck(run, given) and distrt.autograd.gradgradcheck(run, given)


def test_dropout_zeroes_the_right_share_and_keeps_the_mean() -> None:
    distrt.manual_seed(0)
    query, key = distrt.zeros(4, 2, 200, 8), distrt.zeros(4, 2, 200, 8)
    marked = distrt.eye(200).expand(4, 2, 200, 200)  # the output is the weights themselves
    out = F.scaled_dot_product_attention(query, key, marked, dropout_p=0.25) * 200
    share = (out == 0).double().mean().item()
    assert abs(share - 0.25) < 0.005 and abs(out.mean().item() - 1) < 0.01
    assert distrt.allclose(out[out != 0], distrt.tensor(1 / 0.75))
    assert not F.scaled_dot_product_attention(query, key, marked, dropout_p=1.0).any()


def test_the_seed_decides_what_is_dropped() -> None:
    x = distrt.ones(2, 2, 16, 4)
    drawn = []
    for seed in (1, 1, 2):
        distrt.manual_seed(seed)
        drawn.append(F.scaled_dot_product_attention(x, x, x, dropout_p=0.5))
    assert distrt.equal(drawn[0], drawn[1]) and not distrt.equal(drawn[0], drawn[2])


def test_long_sequences_need_no_matrix_of_scores() -> None:
    length = 4096
    x = distrt.randn(1, 1, length, 8, requires_grad=True)
    tracemalloc.start()
    out = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    out.sum().backward()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < length * length * 4 / 2


def test_a_query_without_keys_has_zeros_and_no_gradients() -> None:
    x = distrt.randn(3, 4, requires_grad=True)
    seen = distrt.tensor([[True, True, False], [False, False, False], [True, False, True]])
    out = F.scaled_dot_product_attention(x, x.detach(), x.detach(), seen)
    out.sum().backward()
    assert not out[1].any() and not x.grad[1].any() and x.grad[0].any()


def test_the_result_lies_in_memory_as_the_query_does() -> None:
    q, k, v = (each.view(2, 5, 3, 4).transpose(1, 2) for each in distrt.randn(2, 5, 36).chunk(3, -1))
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert out.transpose(1, 2).view(2, 5, 12).shape == (2, 5, 12)


def test_kernels_can_be_asked_for() -> None:
    q = distrt.randn(1, 2, 3, 4)
    expected = F.scaled_dot_product_attention(q, q, q)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION) as given:
        assert given == {} and distrt.backends.cuda.flash_sdp_enabled()
        assert not distrt.backends.cuda.math_sdp_enabled()
        assert distrt.equal(F.scaled_dot_product_attention(q, q, q), expected)
    assert distrt.backends.cuda.math_sdp_enabled()
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.EFFICIENT_ATTENTION], set_priority=True):
        assert distrt.backends.cuda.math_sdp_enabled() and not distrt.backends.cuda.flash_sdp_enabled()
    with pytest.raises(AssertionError, match="got tuple"), sdpa_kernel((SDPBackend.MATH,)):  # type: ignore[arg-type]
        pass
    assert (str(SDPBackend.MATH), int(SDPBackend.ERROR)) == ("SDPBackend.MATH", -1)


def test_masks_of_two_kinds_are_warned_of() -> None:
    attention = distrt.nn.MultiheadAttention(4, 2)
    x = distrt.ones(3, 2, 4)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        attention(x, x, x, key_padding_mask=distrt.zeros(2, 3).bool(), attn_mask=distrt.zeros(3, 3))
    assert [str(each.message) for each in said] == [
        "Support for mismatched key_padding_mask and attn_mask is deprecated. Use same type for both instead."
    ]


def test_attention_starts_as_in_pytorch(torch: Any) -> None:
    distrt.manual_seed(0)
    ours, theirs = distrt.nn.MultiheadAttention(64, 4), torch.nn.MultiheadAttention(64, 4)
    packed = ours.in_proj_weight.detach().numpy()
    bound = math.sqrt(6 / (64 + 192))
    assert abs(packed).max() <= bound and abs(packed.std() - bound / math.sqrt(3)) < 0.003
    assert abs(packed.std() - theirs.in_proj_weight.detach().numpy().std()) < 0.003
    assert not ours.in_proj_bias.any() and not ours.out_proj.bias.any()
    row = distrt.nn.MultiheadAttention(512, 4, add_bias_kv=True).bias_k
    assert abs(row.std().item() - math.sqrt(2 / (512 + 512))) < 0.01


def test_the_weights_are_probabilities_that_dropout_reaches() -> None:
    distrt.manual_seed(0)
    attention = distrt.nn.MultiheadAttention(8, 2, dropout=0.5)
    x = distrt.randn(40, 3, 8)
    weights = attention(x, x, x, average_attn_weights=False)[1]
    assert 0.4 < (weights == 0).double().mean().item() < 0.6
    calm = attention.eval()(x, x, x)[1]
    assert calm.shape == (3, 40, 40) and distrt.allclose(calm.sum(-1), distrt.ones(3, 40))
    assert attention(x, x, x, need_weights=False)[1] is None


@pytest.mark.parametrize("given", ["static_k", "static_v", "static_k static_v"])
def test_keys_and_values_may_be_given_projected(given: str, torch: Any, rng: np.random.Generator) -> None:
    made = {name: rng.standard_normal((4, 5, 3)) for name in given.split()}
    shared = [rng.standard_normal(shape) for shape in ((3, 2, 6), (5, 2, 6), (18, 6), (18,), (6, 6), (6,))]
    found = []
    for library in (distrt, torch):
        query, key, weight, bias, out_weight, out_bias = (library.tensor(each) for each in shared)
        static = {name: library.tensor(each) for name, each in made.items()}
        found.append(
            library.nn.functional.multi_head_attention_forward(
                query, key, key, 6, 2, weight, bias, None, None, False, 0.0, out_weight, out_bias, **static
            )
        )
    for mine, theirs in zip(*found, strict=True):
        assert_same(mine, theirs, given)


def test_layers_are_at_pytorchs_paths(torch: Any) -> None:
    for library in (distrt, torch):
        modules = library.nn.modules
        assert modules.activation.MultiheadAttention is library.nn.MultiheadAttention
        projection = library.nn.MultiheadAttention(4, 2).out_proj
        assert type(projection) is modules.linear.NonDynamicallyQuantizableLinear
        assert modules.transformer.TransformerEncoderLayer is library.nn.TransformerEncoderLayer
