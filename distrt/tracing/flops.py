"""How many floating-point operations products, convolutions, attention and recurrent layers take.

A multiplication and an addition are two; what is done to single elements is not counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["flops_of"]

Shape = Sequence[int]


def flops_of(name: str, shapes: Sequence[Any], result: Shape) -> int:
    """Of one call; 0 where it is not known.

    Args:
        name: the operation's, without what is before the last dot.
        shapes: of the arguments, in order; [] for what is no tensor.
        result: the result's shape.
    """
    rule = _RULES.get(name)
    return 0 if rule is None else rule(shapes, result)


def _product(left: int) -> Callable[[Sequence[Any], Shape], int]:
    """Of matrices, the left one of which is the argument of this number."""
    return lambda shapes, result: 2 * math.prod(result) * int(shapes[left][-1])


def _convolution(shapes: Sequence[Any], result: Shape) -> int:
    weight: Shape = shapes[1]
    return 2 * math.prod(result) * math.prod(weight[1:])


def _transposed(shapes: Sequence[Any], result: Shape) -> int:
    input: Shape = shapes[0]
    weight: Shape = shapes[1]
    return 2 * math.prod(input) * math.prod(weight[1:])


def _bilinear(shapes: Sequence[Any], result: Shape) -> int:
    weight: Shape = shapes[2]
    return 2 * math.prod(result) * math.prod(weight[1:])


def _attention(shapes: Sequence[Any], result: Shape) -> int:
    """Scores, and their product with the values."""
    query, key, value = (tuple(map(int, shape)) for shape in shapes[:3])
    return 2 * math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _heads(shapes: Sequence[Any], result: Shape) -> int:
    """Projections of query, key and value, attention over (length, batch, width), and the projection of its result."""
    query, key, value = (tuple(map(int, shape)) for shape in shapes[:3])
    weights: list[Shape] = [shape for shape in shapes[3:] if len(shape) == 2]
    if len(weights) < 2 or not query:
        return 0
    width = query[-1]
    projections = (
        [(width, width)] * 3 if weights[0][0] == 3 * width else weights[1:4]
    )  # the last one is first
    inside = sum(
        2 * math.prod(given[:-1]) * math.prod(weight)
        for given, weight in zip((query, key, value), projections, strict=True)
    )
    scores = 4 * math.prod(query) * key[0]
    return inside + scores + 2 * math.prod(query[:-1]) * width * width


def _recurrent(states: int) -> Callable[[Sequence[Any], Shape], int]:
    """Of every step, the products with all weights, which come after the input and so many states."""

    def rule(shapes: Sequence[Any], result: Shape) -> int:
        matrices: list[Shape] = [shape for shape in shapes[1:] if len(shape) >= 2][states:]
        return sum(2 * math.prod(shapes[0][:-1]) * math.prod(each) for each in matrices)

    return rule


_RULES: dict[str, Callable[[Sequence[Any], Shape], int]] = {
    **dict.fromkeys(("mm", "bmm", "matmul", "linear", "mv", "__matmul__"), _product(0)),
    **dict.fromkeys(("addmm", "baddbmm", "addmv"), _product(1)),
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), _convolution),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _transposed),
    **dict.fromkeys(("lstm", "lstm_cell"), _recurrent(2)),
    **dict.fromkeys(
        ("gru", "gru_cell", "rnn_relu", "rnn_relu_cell", "rnn_tanh", "rnn_tanh_cell"), _recurrent(1)
    ),
    "bilinear": _bilinear,
    "multi_head_attention_forward": _heads,
    "scaled_dot_product_attention": _attention,
}
