"""Products of several matrices, in the cheapest order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.definitions.out import takes_out
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.ops.linalg.matrix import require_dims
from distrt.core.ops.pointwise.type_names import c_type

__all__ = ["chain_matmul", "linalg_multi_dot"]


def chain_matmul(*matrices: Any, out: Any = None) -> Any:
    """The product of all the matrices, multiplied in the cheapest order."""
    if len(matrices) == 1 and isinstance(matrices[0], list | tuple):
        matrices = tuple(matrices[0])
    require_dims("chain_matmul", *(("matrix", each, 2) for each in matrices))
    if len(matrices) == 1:
        return matrices[0]
    return linalg_multi_dot(matrices, out=out) if out is not None else linalg_multi_dot(matrices)


@takes_out
def linalg_multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of matrices in the cheapest order; the first may be a row and the last a column vector.

    Source: Cormen et al., Introduction to Algorithms, 15.2 (matrix-chain multiplication).
    """
    if len(tensors) < 2:
        raise ShapeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    chain = list(tensors)
    for number, each in enumerate(chain):
        require_array("multi_dot", f"tensors[{number}]", each)
        allowed = (1, 2) if number in (0, len(chain) - 1) else (2,)
        if each.ndim not in allowed:
            shown = " or ".join(f"{dims}D" for dims in allowed)
            raise ShapeError(f"multi_dot(): tensor {number} must be {shown} but got {each.ndim}D")
        if each.dtype != chain[0].dtype:
            raise DtypeError(
                f"multi_dot(): all tensors must have be the same dtype but tensor 0 is {c_type(chain[0])} and tensor "
                f"{number} {c_type(each)}"
            )
    is_row, is_column = chain[0].ndim == 1, chain[-1].ndim == 1
    if is_row:
        chain[0] = ops.unsqueeze(chain[0], 0)
    if is_column:
        chain[-1] = ops.unsqueeze(chain[-1], 1)
    for number, (left, right) in enumerate(itertools.pairwise(chain)):
        if left.shape[1] != right.shape[0]:
            raise ShapeError(
                f"multi_dot(): tensors {number} and {number + 1} with shapes {list(left.shape)} and "
                f"{list(right.shape)} cannot be multiplied"
            )
    product = _multiplied(chain, _best_splits(chain), 0, len(chain) - 1)
    gone = tuple(dim for dim, squeezed in ((0, is_row), (1, is_column)) if squeezed)
    return ops.squeeze(product, gone) if gone else product


def _best_splits(chain: list[Any]) -> list[list[int]]:
    """For each stretch of the chain, after which matrix the cheapest product divides it."""
    count = len(chain)
    lengths = [each.shape[0] for each in chain] + [chain[-1].shape[1]]
    cost = [[0] * count for _ in range(count)]
    splits = [[0] * count for _ in range(count)]
    for width in range(1, count):
        for first in range(count - width):
            last = first + width
            cost[first][last], splits[first][last] = min(
                (
                    cost[first][cut]
                    + cost[cut + 1][last]
                    + lengths[first] * lengths[cut + 1] * lengths[last + 1],
                    cut,
                )
                for cut in range(first, last)
            )
    return splits


def _multiplied(chain: list[Any], splits: list[list[int]], first: int, last: int) -> Any:
    if first == last:
        return chain[first]
    cut = splits[first][last]
    return ops.matmul(_multiplied(chain, splits, first, cut), _multiplied(chain, splits, cut + 1, last))
