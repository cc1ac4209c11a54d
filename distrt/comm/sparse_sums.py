"""The sum of the ranks' sparse tensors: each gathers what all give, and adds it up in the ranks' order.

Called by ``distributed.all_reduce`` and by data parallelism. What is not given anywhere costs nothing.
"""

from __future__ import annotations

import numpy as np

from distrt.comm.process_group import ProcessGroup
from distrt.comm.reduction import AnyOp, ReduceOp, Reduction
from distrt.core.errors import CollectiveMismatch, UnsupportedError
from distrt.core.sparse.array import SparseArray
from distrt.core.sparse.coo import Coo

__all__ = ["sum_of_given", "sum_of_sparse"]

_MOST_DIMS = 64  # NumPy's limit, and PyTorch's


def sum_of_sparse(group: ProcessGroup, array: SparseArray, op: AnyOp = ReduceOp.SUM) -> Coo:
    """The sum, or the average, of all ranks' sparse arrays: coalesced, with the same bits on every rank.

    Raises:
        RuntimeError: for another operation.
        DtypeError: for the average of integers.
        UnsupportedError: for a compressed matrix.
        CollectiveMismatch: on all ranks, where sizes or sparse dims differ.
    """
    if op not in (ReduceOp.SUM, ReduceOp.AVG):
        raise RuntimeError(
            "unsupported reduction operation (allreduce of sparse tensors only works with ReduceOp.SUM, and AVG here)"
        )
    if not isinstance(array, Coo):
        raise UnsupportedError(
            f"all_reduce: for torch.sparse_coo, got the layout {array.layout}; use to_sparse()"
        )
    if op is ReduceOp.AVG:
        Reduction(ReduceOp.AVG, array.dtype, group.size())  # refuses what has no average
    total = sum_of_given(group, array)
    assert total is not None
    return total if op is ReduceOp.SUM else total.with_values(total.values / total.dtype.type(group.size()))


def sum_of_given(group: ProcessGroup, array: Coo, is_given: bool = True) -> Coo | None:
    """The sum of the ranks' arrays, of which some are not given, but of the same sizes; None where none is.

    Raises:
        CollectiveMismatch: as `sum_of_sparse`.
    """
    held = array.coalesced()
    counts = _counts(group, held, is_given)
    if max(counts) < 0:
        return None
    indices = [np.empty((held.sparse_dim, max(count, 0)), np.int64) for count in counts]
    values = [np.empty((max(count, 0), *held.values.shape[1:]), held.dtype) for count in counts]
    group.all_gather(indices, np.ascontiguousarray(held.indices)).wait()
    group.all_gather(values, np.ascontiguousarray(held.values)).wait()
    return Coo(np.concatenate(indices, 1), np.concatenate(values), held.shape).coalesced()


def _counts(group: ProcessGroup, held: Coo, is_given: bool) -> list[int]:
    """How many elements each rank gives; -1 for one that does not give its array."""
    told = np.zeros(3 + _MOST_DIMS, np.int64)
    told[: 3 + held.ndim] = held.nnz if is_given else -1, held.sparse_dim, held.ndim, *held.shape
    all_told = np.empty((group.size(), len(told)), np.int64)
    group.all_gather(all_told, told).wait()
    for rank, theirs in enumerate(all_told):
        if (theirs[1:] != told[1:]).any():
            raise CollectiveMismatch(
                f"rank {group.rank()}: all_reduce of sparse tensors: this one has sizes {list(held.shape)} and "
                f"{held.sparse_dim} sparse dims, that of rank {rank} {theirs[3 : 3 + theirs[2]].tolist()} "
                f"and {theirs[1]}"
            )
    return [int(count) for count in all_told[:, 0]]
