"""What must hold of a sparse tensor's parts, and whether it is looked at.

Looking at every index costs a pass over all; PyTorch leaves it to whoever asks, and so does this.
"""

from __future__ import annotations

import numpy as np

from distrt.core.arrays import Array
from distrt.core.errors import ShapeError
from distrt.core.sparse.places import numbered

__all__ = ["check_compressed", "check_coo", "invariants"]


class _Invariants:
    """Whether indices are looked at where a call does not say: the process's, as PyTorch's is."""

    wanted = False


invariants = _Invariants()


def check_coo(indices: Array, shape: tuple[int, ...], is_coalesced: bool) -> None:
    """Raises ShapeError for a coordinate outside the tensor, and for coordinates that are only said to be in order."""
    for dim, (row, size) in enumerate(zip(indices, shape, strict=False)):
        if row.size and row.min() < 0:
            raise ShapeError(f"found negative index {int(row.min())} for dim {dim}")
        if row.size and row.max() >= size:
            raise ShapeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size} but found index {int(row.max())}"
            )
    if is_coalesced and not (np.diff(numbered(indices, shape)) > 0).all():
        raise ShapeError("cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor")


def check_compressed(
    starts: Array, others: Array, values: Array, shape: tuple[int, ...], is_by_column: bool, every: bool
) -> None:
    """Raises ShapeError for parts that do not fit; with ``every``, each index is looked at."""
    first, second = ("ccol", "row") if is_by_column else ("crow", "col")
    count, width = shape[::-1] if is_by_column else shape
    if len(starts) != count + 1:
        raise ShapeError(
            f"{first}_indices.shape[-1] must be equal to the number of "
            f"{'columns' if is_by_column else 'rows'} + 1 as defined by compressed dim: {count + 1}, got {len(starts)}"
        )
    if len(others) != len(values):
        raise ShapeError(
            f"number of elements in {second}_indices ({len(others)}) and values ({len(values)}) must be equal"
        )
    if starts[0] != 0 or starts[-1] != len(values):
        raise ShapeError(
            f"{first}_indices must begin with 0 and end with the number of values, {len(values)}; got {int(starts[0])} "
            f"and {int(starts[-1])}"
        )
    if every:
        if (np.diff(starts) < 0).any():
            raise ShapeError(f"{first}_indices must not decrease")
        if others.size and not (others.min() >= 0 and others.max() < width):
            raise ShapeError(f"{second}_indices must be from 0 to {width - 1}")
        rises = np.diff(others) > 0
        begins = starts[1:-1]
        rises[begins[(begins > 0) & (begins < len(others))] - 1] = True  # from one slice to the next
        if not rises.all():
            raise ShapeError(
                f"{second}_indices must be sorted and distinct in each {'column' if is_by_column else 'row'}"
            )
