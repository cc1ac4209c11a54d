"""Masks for attention whose queries and keys differ in number, beside PyTorch's."""

import importlib

import numpy as np
import pytest

from distrt.nn.attention.bias import causal_lower_right, causal_upper_left


@pytest.mark.parametrize("name", ["causal_upper_left", "causal_lower_right"])
@pytest.mark.parametrize("size", [(4, 6), (4, 4)])
def test_attention_under_a_causal_bias_is_pytorchs(torch, name, size):
    arrays = [
        np.random.default_rng(n).standard_normal((2, length, 8)) for n, length in enumerate((*size, size[1]))
    ]
    found = []
    for library in ("distrt", "torch"):
        biases = importlib.import_module(f"{library}.nn.attention.bias")
        root = importlib.import_module(library)
        bias = getattr(biases, name)(*size)
        attend = root.nn.functional.scaled_dot_product_attention
        found.append((attend(*map(root.tensor, arrays), attn_mask=bias).tolist(), bias.variant.name))
        assert (bias.seq_len_q, bias.seq_len_kv) == size
    assert found[0][1] == found[1][1] and np.allclose(found[0][0], found[1][0])


def test_a_bias_shows_what_queries_see():
    bias = causal_lower_right(2, 3)
    assert bias.tolist() == [[True, True, False], [True, True, True]] and bias.shape == (2, 3)
    with pytest.raises(AssertionError, match="2D"):
        causal_upper_left(3)
