"""Lines of the table of layers: multi-head attention."""

from tests.oracle.layer_table import errors, layers

# Three inputs of their own, with every mask; the weights are returned, so that PyTorch's plain kernel runs.
layers(
    (
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4)",
        "f(3, 4), f(5, 4), f(5, 4)",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), key_padding_mask=t.arange(5) > t.tensor([[3], [2]])",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), key_padding_mask=c(2, 5)",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), attn_mask=t.ones(3, 5).triu(2).bool()",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), attn_mask=f(3, 5), average_attn_weights=False",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), attn_mask=c(4, 3, 5)",
        "f(3, 4), f(5, 4), f(5, 4), attn_mask=c(2, 3, 5), key_padding_mask=c(5), average_attn_weights=False",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), t.arange(5) > t.tensor([[3], [2]]), True, "
        "t.ones(4, 3, 5).triu(2).bool()",
        "f(3, 2, 4), f(3, 2, 4), f(3, 2, 4), attn_mask=t.ones(3, 3).triu(1).bool(), is_causal=True",
    ),
    "MultiheadAttention(4, 2)",
    "MultiheadAttention(4, 2, bias=False)",
    "MultiheadAttention(4, 2, add_bias_kv=True)",
    "MultiheadAttention(4, 2, add_zero_attn=True)",
    "MultiheadAttention(4, 2, 0.0, False, True, True)",
    "MultiheadAttention(embed_dim=4, num_heads=2, dropout=0.0, bias=True)",
)

# PyTorch's fused kernel has no second derivative.
layers(
    (
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), need_weights=False",
        "f(3, 4), f(5, 4), f(5, 4), need_weights=False",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), None, False, c(3, 5)",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), t.arange(5) > t.tensor([[3], [2]]), False, t.ones(3, 5).triu(2).bool()",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), need_weights=False, key_padding_mask=c(2, 5), attn_mask=c(4, 3, 5)",
        "f(4, 2, 4), f(4, 2, 4), f(4, 2, 4), need_weights=False, attn_mask=t.ones(4, 4).triu(1).bool(), is_causal=True",
        "f(3, 2, 4), f(5, 2, 4), f(5, 2, 4), need_weights=False, key_padding_mask=t.ones(2, 5).bool()",
        "f(0, 2, 4), f(5, 2, 4), f(5, 2, 4), need_weights=False",
        "f(3, 0, 4), f(5, 0, 4), f(5, 0, 4), need_weights=False",
        "f(0, 2, 4), f(5, 2, 4), f(5, 2, 4)",
        "f(3, 0, 4), f(5, 0, 4), f(5, 0, 4)",
    ),
    "MultiheadAttention(4, 2)",
    "MultiheadAttention(4, 2, bias=False, add_bias_kv=True, add_zero_attn=True)",
    second_order=False,
)
layers(
    ("f(3, 2, 6), f(5, 2, 6), f(5, 2, 6)", "f(3, 6), f(5, 6), f(5, 6)"),
    "MultiheadAttention(6, 1)",
    "MultiheadAttention(6, 6, add_bias_kv=True)",
)
layers(
    (
        "f(2, 3, 4), f(2, 5, 4), f(2, 5, 4)",
        "f(3, 4), f(5, 4), f(5, 4)",
        "f(2, 3, 4), f(2, 5, 4), f(2, 5, 4), key_padding_mask=t.arange(5) > t.tensor([[3], [2]])",
    ),
    "MultiheadAttention(4, 2, batch_first=True)",
    "MultiheadAttention(4, 2, add_bias_kv=True, batch_first=True)",
)
layers(
    (
        "f(3, 2, 4), f(5, 2, 3), f(5, 2, 6)",
        "f(3, 4), f(5, 3), f(5, 6)",
        "f(3, 2, 4), f(5, 2, 3), f(5, 2, 6), attn_mask=c(3, 5)",
    ),
    "MultiheadAttention(4, 2, kdim=3, vdim=6)",
    "MultiheadAttention(4, 2, kdim=3, vdim=6, bias=False)",
    "MultiheadAttention(4, 2, add_bias_kv=True, add_zero_attn=True, kdim=3, vdim=6)",
)

errors(
    "nn.MultiheadAttention(0, 2)",
    "nn.MultiheadAttention(4, -1)",
    "nn.MultiheadAttention(5, 2)",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 5)] * 3)",
    "nn.MultiheadAttention(4, 2)(t.ones(3, 2, 4), t.ones(3, 4), t.ones(3, 2, 4))",
    "nn.MultiheadAttention(4, 2)(t.ones(3, 4), t.ones(3, 1, 4), t.ones(3, 4))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(4)] * 3)",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(3, 4))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(3, 3, 3))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(1, 2, 3, 3))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 4)] * 3, attn_mask=t.ones(3, 3, 3))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 4)] * 3, attn_mask=t.ones(1, 2, 3, 3))",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, attn_mask=t.ones(3, 3).long())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, key_padding_mask=t.ones(2, 3).int())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, key_padding_mask=t.ones(3, 2).bool())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, key_padding_mask=t.ones(2, 4).bool())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, key_padding_mask=t.ones(2).bool())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 4)] * 3, key_padding_mask=t.ones(2, 3).bool())",
    "nn.MultiheadAttention(4, 2)(*[t.ones(3, 2, 4)] * 3, is_causal=True)",
    "nn.MultiheadAttention(4, 2)(t.ones(3, 2, 4), t.ones(3, 2, 4), t.ones(2, 2, 4))",
    "nn.MultiheadAttention(4, 2, kdim=3)(*[t.ones(3, 2, 4)] * 3)",
    "nn.MultiheadAttention(4, 2, kdim=3)(t.ones(3, 2, 4), t.ones(4, 2, 3), t.ones(5, 2, 4))",
    "F.scaled_dot_product_attention(*[t.ones(4)] * 3)",
    "F.scaled_dot_product_attention(t.ones(3, 4), t.ones(3, 4), t.ones(3, 4).double())",
    "F.scaled_dot_product_attention(*[t.ones(1, 2, 3, 4).long()] * 3)",
    "F.scaled_dot_product_attention(*[t.ones(3, 4) * 1j] * 3)",
    "F.scaled_dot_product_attention(t.ones(3, 4), t.ones(3, 5), t.ones(3, 4))",
    "F.scaled_dot_product_attention(t.ones(2, 3, 3, 4), t.ones(2, 3, 3, 5), t.ones(2, 3, 3, 4))",
    "F.scaled_dot_product_attention(t.ones(2, 3, 4), t.ones(2, 5, 4), t.ones(2, 6, 4))",
    "F.scaled_dot_product_attention(t.ones(2, 3, 4), t.ones(3, 3, 4), t.ones(3, 3, 4))",
    "F.scaled_dot_product_attention(*[t.ones(3, 4)] * 3, t.ones(3, 3).double())",
    "F.scaled_dot_product_attention(*[t.ones(3, 4)] * 3, t.ones(3, 3).int())",
    "F.scaled_dot_product_attention(*[t.ones(2, 3, 4)] * 3, t.ones(3, 4))",
    "F.scaled_dot_product_attention(*[t.ones(1, 2, 3, 4)] * 3, t.ones(3))",
    "F.scaled_dot_product_attention(*[t.ones(1, 2, 3, 4)] * 3, t.tensor(1.0))",
    "F.scaled_dot_product_attention(*[t.ones(2, 3, 4)] * 3, t.ones(4, 2, 3, 3))",
    "F.scaled_dot_product_attention(*[t.ones(2, 3, 4)] * 3, t.ones(3, 3), is_causal=True)",
    "F.scaled_dot_product_attention(*[t.ones(1, 2, 3, 4)] * 3, None, 1.5)",
    "F.scaled_dot_product_attention(*[t.ones(1, 2, 3, 4)] * 3, None, 0.0, False, 0.5)",
    "F.scaled_dot_product_attention(t.ones(1, 6, 3, 4), *[t.ones(1, 3, 3, 4)] * 2)",
    "F.scaled_dot_product_attention(t.ones(1, 5, 3, 4), *[t.ones(1, 3, 3, 4)] * 2, enable_gqa=True)",
    "F.scaled_dot_product_attention(t.ones(3, 4), *[t.ones(3, 4)] * 2, enable_gqa=True)",
    "F.scaled_dot_product_attention(t.ones(3, 4), t.ones(3, 4), None)",
    "F.scaled_dot_product_attention(*[t.ones(3, 4)] * 3, scale='half')",
    "t.nn.attention.sdpa_kernel('math').__enter__()",
)
