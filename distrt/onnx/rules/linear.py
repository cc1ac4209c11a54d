"""Products of matrices, and attention."""

from __future__ import annotations

import math
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.elementwise import dropped
from distrt.onnx.rules.shapes import swapped
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value


@rule("linear", "nn.functional.linear")
def _linear(g: Drawing, call: Call) -> Any:
    return affine(g, call.input, call.weight, call.bias)


def affine(g: Drawing, value: Value, weight: Value, bias: Any = None) -> str:
    """``value @ weight.T + bias``."""
    if len(value.shape) == 2 and len(weight.shape) == 2:
        return g.node("Gemm", value, weight, bias, transB=1)
    turned = g.node("Transpose", weight, perm=[1, 0]) if len(weight.shape) == 2 else weight
    product = g.node("MatMul", value, turned)
    return product if bias is None else g.node("Add", product, bias)


@rule("matmul", "mm", "bmm", "mv", "dot", "inner")
def _matmul(g: Drawing, call: Call) -> Any:
    first, second = call.positions[:2]
    if call.target == "inner":
        if {len(first.shape), len(second.shape)} not in ({1}, {2}):
            raise g.unsupported("inner but of two matrices or two rows")
        second = swapped(g, second, -1, -2) if len(second.shape) > 1 else second
    return g.node("MatMul", first, second)


@rule("addmm", "baddbmm", "addmv", "addbmm")
def _addmm(g: Drawing, call: Call) -> Any:
    added, first, second = call.positions[:3]
    if call.target == "addbmm":
        raise g.unsupported("addbmm")
    dtype = call.result.dtype
    product: Any = g.node("MatMul", first, second)
    if call.alpha != 1:
        product = g.node("Mul", product, g.number(call.alpha, dtype))
    if call.beta != 1:
        added = g.node("Mul", added, g.number(call.beta, dtype))
    return g.node("Add", added, product)


@rule("outer", "ger")
def _outer(g: Drawing, call: Call) -> Any:
    first, second = call.positions[:2]
    return g.node("Mul", g.unsqueeze(first, 1), g.unsqueeze(second, 0))


@rule("einsum")
def _einsum(g: Drawing, call: Call) -> Any:
    equation, *operands = call.positions
    if operands and isinstance(operands[0], tuple | list):
        operands = list(operands[0])
    if g.opset < 12 or not isinstance(equation, str):
        raise g.unsupported("einsum")
    return g.node("Einsum", *operands, equation=equation)


@rule("bilinear", "nn.functional.bilinear")
def _bilinear(g: Drawing, call: Call) -> Any:
    if g.opset < 12:
        raise g.unsupported("bilinear")
    found = g.node("Einsum", call.input1, call.weight, call.input2, equation="...i,kij,...j->...k")
    return found if call.bias is None else g.node("Add", found, call.bias)


@rule("nn.functional.scaled_dot_product_attention")
def _attention(g: Drawing, call: Call) -> Any:
    dtype = call.result.dtype
    query, key, value = call.query, call.key, call.value
    width = g.fixed(query, -1, "attention")
    scale = 1 / math.sqrt(width) if call.scale is None else call.scale
    heads: tuple[Any, Any] = (key, value)
    if call.enable_gqa:
        heads = tuple(_repeated(g, each, query) for each in heads)  # type: ignore[assignment]
    turned = g.node("Transpose", heads[0], perm=_last_two(len(key.shape)))
    scores = g.node("MatMul", g.node("Mul", query, g.scalar(scale, dtype)), turned)
    masks = [
        each
        for each in (call.attn_mask, _causal(g, query, key) if call.is_causal else None)
        if each is not None
    ]
    for mask in masks:
        is_bool = isinstance(mask, str) or mask.dtype is dt.bool_
        low = g.scalar(-math.inf, dtype)
        scores = g.node("Where", mask, scores, low) if is_bool else g.node("Add", scores, mask)
    weights = g.node("Softmax", scores, axis=len(call.result.shape) - 1)
    if masks:  # a query that sees no key has zeros
        blind = g.node("Equal", g.reduce("ReduceMax", scores, [-1], True), g.scalar(-math.inf, dtype))
        weights = g.node("Where", blind, g.scalar(0, dtype), weights)
    if call.dropout_p:
        weights = dropped(g, weights, float(call.dropout_p))
    return g.node("MatMul", weights, heads[1])


def _last_two(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _causal(g: Drawing, query: Value, key: Value) -> str:
    """True where a query may see a key: those before it."""
    places = [
        g.node("Range", g.scalar(0, dt.int64), g.squeeze(g.size(each, -2), 0), g.scalar(1, dt.int64))
        for each in (query, key)
    ]
    return g.node("Not", g.node("Less", g.unsqueeze(places[0], 1), g.unsqueeze(places[1], 0)))


def _repeated(g: Drawing, value: Value, query: Value) -> str:
    """Heads that several queries share, as often as they are needed."""
    rank = len(value.shape)
    count = g.fixed(query, -3, "attention") // g.fixed(value, -3, "attention")
    sizes = g.rows_of(value)
    repeated = g.node("Tile", g.unsqueeze(value, rank - 2), g.integers(*[1] * (rank - 2), count, 1, 1))
    return g.reshape(repeated, [*sizes[:-3], sizes[-3] * count, *sizes[-2:]])
