"""flex_attention beside PyTorch's on the CPU, which has no gradients there: those are checked numerically."""

import importlib
import warnings

import numpy as np
import pytest

import distrt
from distrt.core.errors import UnsupportedError
from distrt.nn.attention.flex_attention import and_masks, create_block_mask, flex_attention

SIZES = (2, 4, 12, 8)


def arrays(heads=4, length=12):
    rng = np.random.default_rng(0)
    shapes = (SIZES, (2, heads, length, 8), (2, heads, length, 8))
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def causal(b, h, q_idx, kv_idx):
    return q_idx >= kv_idx


def window(b, h, q_idx, kv_idx):
    return (q_idx - kv_idx).abs() < 3


def cases(library):
    """name -> (score_mod, mask_mod, options)"""
    slopes = library.tensor([0.5, 0.25, 0.125, 0.0625])
    documents = library.tensor([0] * 5 + [1] * 7)
    table = library.arange(144.0).reshape(12, 12) / 100
    flex = importlib.import_module(f"{library.__name__}.nn.attention.flex_attention")
    return {
        "plain": (None, None, {}),
        "relative positions": (lambda s, b, h, q, k: s + (q - k), None, {"scale": 0.3}),
        "slopes of heads": (lambda s, b, h, q, k: s + slopes[h] * (k - q), causal, {}),
        "soft cap": (lambda s, b, h, q, k: 20 * library.tanh(s / 20), causal, {}),
        "a table": (lambda s, b, h, q, k: s + table[q, k] * (b + 1), None, {}),
        "where": (lambda s, b, h, q, k: library.where(q >= k, s, -float("inf")), None, {}),
        "documents": (None, lambda b, h, q, k: documents[q] == documents[k], {}),
        "both": (None, flex.and_masks(causal, window), {}),
        "either": (None, flex.or_masks(causal, window), {}),
        "all": (None, flex.noop_mask, {}),
        "first head": (None, lambda b, h, q, k: (h == 0) | (q >= k), {"heads": 4}),
    }


def result(library, name):
    score_mod, mask_mod, options = cases(library)[name]
    flex = importlib.import_module(f"{library.__name__}.nn.attention.flex_attention")
    mask = None
    heads = options.pop("heads", None)
    if mask_mod is not None:
        mask = flex.create_block_mask(mask_mod, None, heads, 12, 12, device="cpu", BLOCK_SIZE=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's: without its compiler it is slow
        found = flex.flex_attention(*map(library.tensor, arrays()), score_mod, mask, **options)
        _, aux = flex.flex_attention(
            *map(library.tensor, arrays()), score_mod, mask, return_aux=flex.AuxRequest(lse=True), **options
        )
    return found, aux.lse, mask


@pytest.mark.ci
@pytest.mark.parametrize("name", cases(distrt))
def test_outputs_are_pytorchs(torch, name):
    (found, lse, mask), (theirs, their_lse, their_mask) = (result(each, name) for each in (distrt, torch))
    assert np.allclose(found.tolist(), theirs.tolist(), atol=1e-5)
    assert np.allclose(lse.tolist(), their_lse.tolist(), atol=1e-5)
    if mask is not None:
        assert mask.shape == tuple(their_mask.shape) and mask.sparsity() == pytest.approx(
            their_mask.sparsity()
        )
        assert mask.to_dense().tolist() == their_mask.to_dense().tolist()
        assert mask.BLOCK_SIZE == their_mask.BLOCK_SIZE and mask.seq_lengths == their_mask.seq_lengths


@pytest.mark.ci
def test_heads_in_groups_are_pytorchs(torch):
    found = []
    for library in (distrt, torch):
        flex = importlib.import_module(f"{library.__name__}.nn.attention.flex_attention")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            each = flex.flex_attention(
                *map(library.tensor, arrays(heads=2)), lambda s, b, h, q, k: s + h, enable_gqa=True
            )
        found.append(each.tolist())
    assert np.allclose(*found, atol=1e-5)


def test_gradients_are_those_of_finite_differences():
    inputs = [distrt.tensor(each[:1, :2, :5, :3]).double().requires_grad_() for each in arrays()]
    slopes = distrt.tensor([0.5, 0.25], dtype=distrt.float64, requires_grad=True)
    mask = create_block_mask(causal, None, None, 5, 5)

    def attend(query, key, value, slopes):
        return flex_attention(query, key, value, lambda s, b, h, q, k: s + slopes[h] * (k - q), mask)

    assert distrt.autograd.gradcheck(attend, (*inputs, slopes))


def test_a_query_that_sees_nothing_gives_zeros():
    mask = create_block_mask(lambda b, h, q, k: q > k, None, None, 12, 12)
    for score_mod in (None, lambda s, b, h, q, k: s):
        found = flex_attention(*map(distrt.tensor, arrays()), score_mod, mask)
        assert not found[:, :, 0].any() and found[:, :, 1].abs().sum() > 0


def test_what_does_not_fit_says_so():
    query, key, value = map(distrt.tensor, arrays(heads=2))
    with pytest.raises(ValueError, match="enable_gqa=True"):
        flex_attention(query, key, value)
    with pytest.raises(ValueError, match="same dtype"):
        flex_attention(query, query, query.double())
    with pytest.raises(ValueError, match="block_mask was created for"):
        flex_attention(query, query, query, block_mask=create_block_mask(causal, None, None, 16, 16))
    with pytest.raises(UnsupportedError, match="4D"):
        flex_attention(query[0], query[0], query[0])
    with pytest.raises(RuntimeError, match="callable"):
        and_masks(3)
