"""all_reduce of sparse tensors: the sum of what all ranks give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm.local import run_local
from distrt.comm.process_group import ReduceOp
from distrt.comm.sparse_sums import sum_of_sparse
from distrt.core.errors import CollectiveMismatch, DtypeError, UnsupportedError


def given(rank: int, dtype: Any = torch.float32) -> Any:
    """Rank 2 gives nothing; rank 1 gives a place twice."""
    rows = [[0, 4], [4, 1, 4], [], [3]][rank]
    values = torch.arange(float(2 * len(rows))).view(-1, 2) + rank
    return torch.sparse_coo_tensor(torch.tensor([rows], dtype=torch.int64), values.to(dtype), (6, 2))


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
@pytest.mark.parametrize("op", [ReduceOp.SUM, ReduceOp.AVG])
def test_every_rank_has_the_sum(world_size: int, op: Any) -> None:
    found = run_local(lambda group: sum_of_sparse(group, given(group.rank())._array, op), world_size)
    expected = sum(given(rank).to_dense().numpy() for rank in range(world_size))
    for each in found:
        assert each.is_coalesced
        np.testing.assert_array_equal(each.dense(), expected / (world_size if op is ReduceOp.AVG else 1))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.complex64]
)
def test_every_dtype_is_added_up(dtype: Any) -> None:
    found = run_local(lambda group: sum_of_sparse(group, given(group.rank(), dtype)._array), 2)
    expected = (given(0, dtype).to_dense() + given(1, dtype).to_dense()).numpy()
    for each in found:
        assert np.array_equal(each.dense(), expected)


def test_what_does_not_fit_is_told_on_all_ranks() -> None:
    def run(group: Any) -> None:
        with pytest.raises(CollectiveMismatch, match="sparse dims"):
            sum_of_sparse(group, torch.eye(3 + group.rank()).to_sparse()._array)

    run_local(run, 2)


def test_other_operations_and_layouts_are_refused() -> None:
    def run(group: Any) -> None:
        with pytest.raises(RuntimeError, match=r"only works with ReduceOp\.SUM"):
            sum_of_sparse(group, given(0)._array, ReduceOp.MAX)
        with pytest.raises(DtypeError, match=r"ReduceOp\.AVG needs a floating or complex dtype, got int64"):
            sum_of_sparse(group, given(0, torch.int64)._array, ReduceOp.AVG)
        with pytest.raises(UnsupportedError, match="sparse_csr"):
            sum_of_sparse(group, torch.eye(2).to_sparse_csr()._array)

    run_local(run, 1)


def test_the_function_changes_its_tensor() -> None:
    def run(group: Any) -> list[Any]:
        tensor = given(group.rank())
        assert dist.all_reduce(tensor, group=group) is None
        once = tensor.to_dense().tolist()
        work = dist.all_reduce(tensor, group=group, async_op=True)
        assert work is not None
        work.wait()
        with pytest.raises(NotImplementedError, match="sparse"):
            dist.broadcast(tensor, 0, group=group)
        with pytest.raises(NotImplementedError, match="sparse"):
            dist.send(tensor, group_dst=1 - group.rank(), group=group)
        with pytest.raises(NotImplementedError, match="sparse"):
            dist.all_gather([torch.zeros(6, 2)] * 2, tensor, group=group)
        return [once, (tensor.to_dense() / 2).tolist()]

    expected = (given(0).to_dense() + given(1).to_dense()).tolist()
    assert run_local(run, 2) == [[expected, expected]] * 2
