"""Lines of the table of layers: transformers. Dropout is 0, so that training is compared, too.

The table's weights are all positive, so that sums grow from layer to layer; a bounded activation keeps float32's
digits where there is no norm at the end, or a second layer. Others are in tests/nn/test_transformer.py.
"""

from tests.oracle.layer_table import errors, layers

PADDED = "t.arange(5) > t.tensor([[4], [2]])"
#: An encoder that does not warn of its order of dims.
ENCODER = "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 3, 0.0), 1, nn.LayerNorm(4), False)"
CAUSAL = "t.nn.Transformer.generate_square_subsequent_mask"

# PyTorch's fused attention, which these layers call, has no second derivative.
layers(
    (
        "f(5, 2, 4)",
        "f(5, 4)",
        f"f(5, 2, 4), src_key_padding_mask={PADDED}",
        "f(5, 2, 4), src_key_padding_mask=c(2, 5), src_mask=c(4, 5, 5)",
        "f(5, 2, 4), t.ones(5, 5).triu(1).bool()",
        "f(5, 2, 4), t.ones(5, 5).triu(1).bool(), is_causal=True",
    ),
    "TransformerEncoderLayer(4, 2, 2, 0.0)",
    "TransformerEncoderLayer(4, 2, 2, 0.0, t.tanh, norm_first=True)",
    "TransformerEncoderLayer(4, 2, 2, 0.0, 'gelu', 1e-3, False, True, bias=False)",
    "TransformerEncoderLayer(d_model=4, nhead=2, dim_feedforward=2, dropout=0.0, activation=t.tanh)",
    "TransformerEncoderLayer(4, 2, 2, 0.0, activation=nn.ReLU())",
    "TransformerEncoderLayer(4, 2, 2, 0.0, activation=nn.GELU(), bias=False)",
    second_order=False,
)
layers(
    (
        "f(2, 5, 4)",
        "f(5, 4)",
        f"f(2, 5, 4), src_key_padding_mask={PADDED}",
        "f(2, 5, 4), src_key_padding_mask=c(2, 5), src_mask=c(4, 5, 5)",
    ),
    "TransformerEncoderLayer(4, 2, 2, 0.0, batch_first=True)",
    "TransformerEncoderLayer(4, 2, 2, 0.0, nn.functional.tanh, batch_first=True, norm_first=True)",
    "TransformerEncoderLayer(4, 2, 1, 0.0, nn.functional.gelu, batch_first=True)",
    second_order=False,
)
layers(
    ("f(2, 5, 4)", "f(5, 4)"),
    "TransformerEncoderLayer(4, 1, 2, dropout=0.0, batch_first=True)",
    second_order=False,
)
layers(
    (
        "f(3, 2, 4), f(5, 2, 4)",
        "f(3, 4), f(5, 4)",
        f"f(3, 2, 4), f(5, 2, 4), {CAUSAL}(3), memory_key_padding_mask={PADDED}",
        "f(5, 2, 4), f(5, 2, 4), c(5, 5), c(5, 5), c(2, 5), c(2, 5)",
        "f(3, 2, 4), f(3, 2, 4), t.ones(3, 3).triu(1).bool(), t.ones(3, 3).triu(1).bool(), tgt_is_causal=True, "
        "memory_is_causal=True",
    ),
    "TransformerDecoderLayer(4, 2, 2, 0.0)",
    "TransformerDecoderLayer(4, 2, 2, 0.0, t.tanh, norm_first=True)",
    "TransformerDecoderLayer(4, 2, 2, 0.0, 'gelu', layer_norm_eps=1e-3, bias=False)",
    "TransformerDecoderLayer(d_model=4, nhead=2, dim_feedforward=2, dropout=0.0, activation=t.sigmoid)",
    second_order=False,
)
layers(
    ("f(2, 3, 4), f(2, 5, 4)", f"f(2, 3, 4), f(2, 5, 4), {CAUSAL}(3), memory_key_padding_mask={PADDED}"),
    "TransformerDecoderLayer(4, 2, 2, 0.0, batch_first=True)",
    "TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 2, 0.0, batch_first=True), 2)",
    second_order=False,
)
layers(
    (
        "f(5, 2, 4)",
        "f(5, 4)",
        f"f(5, 2, 4), src_key_padding_mask={PADDED}",
        f"f(5, 2, 4), {CAUSAL}(5)",
        "f(5, 2, 4), mask=t.ones(5, 5).triu(1).bool(), is_causal=False",
        "f(5, 2, 4), c(4, 5, 5), c(2, 5)",
    ),
    "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, 0.0, t.tanh), 2, enable_nested_tensor=False)",
    "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, 0.0), 1, nn.LayerNorm(4), enable_nested_tensor=False)",
    "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, 0.0, t.tanh), 2, None, False, mask_check=False)",
    second_order=False,
)
layers(
    ("f(2, 5, 4)", f"f(2, 5, 4), src_key_padding_mask={PADDED}", f"f(2, 5, 4), {CAUSAL}(5)"),
    "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, 0.0, batch_first=True), 2, nn.LayerNorm(4))",
    "TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 2, 0.0, 'gelu', 1e-5, True, True), 2, nn.LayerNorm(4), False)",
    second_order=False,
)
layers(
    (
        "f(3, 2, 4), f(5, 2, 4)",
        "f(3, 4), f(5, 4)",
        f"f(3, 2, 4), f(5, 2, 4), tgt_mask={CAUSAL}(3)",
        "f(3, 2, 4), f(5, 2, 4), tgt_mask=t.ones(3, 3).triu(1).bool(), memory_mask=c(3, 5)",
    ),
    "TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 2, 0.0), 2)",
    "TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 2, 0.0), num_layers=1, norm=nn.LayerNorm(4))",
    second_order=False,
)
layers(
    (
        "f(5, 2, 4), f(3, 2, 4)",
        "f(5, 4), f(3, 4)",
        f"f(5, 2, 4), f(3, 2, 4), {CAUSAL}(5), {CAUSAL}(3), c(3, 5)",
        f"f(5, 2, 4), f(3, 2, 4), tgt_mask={CAUSAL}(3), src_key_padding_mask={PADDED}, "
        f"memory_key_padding_mask={PADDED}",
        f"f(5, 2, 4), f(3, 2, 4), {CAUSAL}(5), {CAUSAL}(3), src_is_causal=True, tgt_is_causal=True",
    ),
    f"Transformer(4, 2, 1, 2, 6, 0.0, custom_encoder={ENCODER})",
    f"Transformer(4, 2, 1, 1, 6, 0.0, 'gelu', {ENCODER}, norm_first=True, bias=False, layer_norm_eps=1e-3)",
    f"Transformer(d_model=4, nhead=1, num_decoder_layers=1, dim_feedforward=3, dropout=0.0, custom_encoder={ENCODER})",
    f"Transformer(4, 2, 1, 1, 6, 0.0, 'relu', {ENCODER}, "
    "nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 1, 3, 0.0), 1))",
    second_order=False,
)
layers(
    ("f(2, 5, 4), f(2, 3, 4)", f"f(2, 5, 4), f(2, 3, 4), src_key_padding_mask={PADDED}"),
    "Transformer(4, 2, 1, 1, 6, 0.0, batch_first=True)",
    second_order=False,
)

errors(
    "nn.TransformerEncoderLayer(5, 2)",
    "nn.TransformerEncoderLayer(4, 2, activation='tanh')",
    "nn.TransformerDecoderLayer(4, 2, activation='swish')",
    "nn.TransformerEncoderLayer(4, 2)(t.ones(3, 2, 5))",
    "nn.TransformerEncoderLayer(4, 2)(t.ones(3, 2, 4), t.ones(3, 3).long())",
    "nn.TransformerEncoderLayer(4, 2)(t.ones(3, 2, 4), src_key_padding_mask=t.ones(2, 3).int())",
    "nn.TransformerEncoderLayer(4, 2)(t.ones(3, 2, 4), src_key_padding_mask=t.ones(3, 2).bool())",
    "nn.TransformerEncoderLayer(4, 2)(t.ones(3, 2, 4), is_causal=True)",
    "nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2), 2)(t.ones(3, 2, 4), t.ones(2, 3))",
    "nn.Transformer(4, 2, 1, 1, 6)(t.ones(5, 2, 4), t.ones(3, 3, 4))",
    "nn.Transformer(4, 2, 1, 1, 6, batch_first=True)(t.ones(2, 5, 4), t.ones(3, 5, 4))",
    "nn.Transformer(4, 2, 1, 1, 6)(t.ones(5, 2, 4), t.ones(3, 2, 5))",
    "nn.Transformer(5, 2)",
)
