"""Rows of a matrix by number, reduced in bags. Behind ``nn.EmbeddingBag``.

Everywhere ``places`` are the numbers of the rows that take part, bag after bag, and ``bags`` says for each its bag.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, chosen, filled, is_meta
from distrt.core.op import IndexArray, op
from distrt.core.ops.indexing import atomic
from distrt.core.ops.indexing.adding_at import add_rows
from distrt.core.ops.indexing.gathering import zeros_of
from distrt.core.ops.nn.embedding import embedding, embedding_dense_backward, rows_given
from distrt.core.ops.pointwise.half import wide

__all__ = ["bag_max", "bag_sum", "weighted_bag_sum"]


@op(node="EmbeddingBag")
def bag_sum(
    weight: Array,
    places: IndexArray,
    bags: IndexArray,
    count: int,
    mean: bool,
    scale_grad_by_freq: bool,
    sparse: bool = False,
) -> Array:
    """The sum, or the mean, of the rows in each bag; 0 of none.

    Shape: (rows, features), (n), (n) -> (count, features).
    """
    return _added_up(wide(weight.take(places, 0)), bags, count, mean).astype(weight.dtype, copy=False)


def _added_up(rows: Array, bags: Array, count: int, mean: bool) -> Array:
    sums = np.zeros((count, rows.shape[1]), rows.dtype, like=rows)
    if rows.shape[0]:
        add_rows(sums, bags, rows, mean)
    return sums


@op(node="EmbeddingBag")
def weighted_bag_sum(
    weight: Array,
    factors: Array,
    places: IndexArray,
    bags: IndexArray,
    count: int,
    scale_grad_by_freq: bool,
    sparse: bool = False,
) -> Array:
    """The sum of the rows in each bag, each times its factor.

    Shape: (rows, features), (n), (n), (n) -> (count, features).
    """
    rows = wide(weight.take(places, 0)) * wide(factors)[:, None]
    return _added_up(rows, bags, count, False).astype(weight.dtype, copy=False)


def _reduced(choose: np.ufunc, rows: Array, starts: Array, bags: Array, count: int) -> Array:
    """``choose.reduceat(rows, starts)``: of each bag that is not empty. CuPy has it for sums only."""
    if isinstance(rows, np.ndarray):
        return choose.reduceat(rows, starts, 0)
    best = np.zeros((count, rows.shape[1]), rows.dtype, like=rows)
    best[bags[starts]] = rows[starts]
    atomic.extreme(best, bags, rows, choose is np.maximum)
    return best[bags[starts]]


@op(node="EmbeddingBag", aux=("winner",))
def bag_max(weight: Array, places: IndexArray, bags: IndexArray, count: int) -> Any:
    """The largest element of each bag and feature; 0 of none.

    Shape: (rows, features), (n), (n) -> (count, features).

    The first of several gets the gradient; ``winner`` is its row, -1 in empty bags.
    """
    winner = filled((count, weight.shape[1]), -1, np.int64, weight)
    if places.size and not is_meta(places):
        rows = weight.take(places, 0)
        starts = np.flatnonzero(np.diff(bags, prepend=-1))
        best = np.repeat(
            _reduced(np.maximum, rows, starts, bags, count), np.diff(starts, append=places.size), 0
        )
        reached = (rows == best) | (rows != rows)
        positions = np.where(reached, np.arange(places.size, like=places)[:, None], places.size)
        winner[bags[starts]] = places[_reduced(np.minimum, positions, starts, bags, count)]
    found = (
        np.take_along_axis(weight, np.maximum(winner, 0), 0)
        if weight.size
        else np.zeros(winner.shape, like=winner)
    )
    return chosen(winner < 0, weight.dtype.type(0), found.astype(weight.dtype, copy=False)), winner


def _spread(g: Any, bags: Array, mean: bool) -> Any:
    """To each row its bag's gradient, or its share in that."""
    if mean:
        sizes = np.maximum(_sizes(getattr(bags, "_array", bags), g.shape[0]), 1)
        g = ops.true_divide(g, sizes.astype(getattr(g, "_array", g).dtype))
    return embedding(g, bags)


def _sizes(bags: Array, count: int) -> Array:
    """How many rows each bag has. Shape: (n) -> (count, 1)."""
    if isinstance(bags, np.ndarray):
        return np.bincount(bags, minlength=count)[:, None]
    return _added_up(filled((bags.size, 1), 1.0, np.float64, bags), bags, count, False)  # CuPy's waits


def _of_rows(rows: Any, places: Any, shape: tuple[int, ...], scale_grad_by_freq: bool, sparse: bool) -> Any:
    """The gradient of the table of which these rows were taken; sparse where nobody differentiates it again."""
    if sparse and not hasattr(rows, "_array"):
        return rows_given(rows, places, shape, -1, scale_grad_by_freq)
    return embedding_dense_backward(rows, places, shape[0], -1, scale_grad_by_freq)


bag_sum.gradient(
    weight=lambda g, weight_meta, places, bags, mean, scale_grad_by_freq, sparse: _of_rows(
        _spread(g, bags, mean), places, weight_meta.shape, scale_grad_by_freq, sparse
    )
)
weighted_bag_sum.gradient(
    weight=lambda g, factors, weight_meta, places, bags, scale_grad_by_freq, sparse: _of_rows(
        ops.mul(embedding(g, bags), ops.unsqueeze(factors, 1)),
        places,
        weight_meta.shape,
        scale_grad_by_freq,
        sparse,
    ),
    factors=lambda g, weight, places, bags: ops.sum(
        ops.mul(embedding(g, bags), embedding(weight, places)), 1
    ),
)
bag_max.gradient(
    weight=lambda g, weight_meta, winner: ops.scatter_add(
        zeros_of(weight_meta, g), 0, np.maximum(winner, 0), ops.zero_unless(g, winner >= 0)
    )
)
