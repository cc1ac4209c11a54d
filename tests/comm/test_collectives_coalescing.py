"""Many collectives in one go: the same results as one by one, with fewer meetings."""

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from tests.comm.ranks import run_ranks

SHAPES = [(2,), (3, 2), (), (0,), (40_000,), (7,)]  # the fifth is too large to be packed


def numbers(rank, shape, dtype):
    return (torch.ones(shape) * (rank + 2)).to(dtype)


def operations(call):
    group = world.default_group()
    before = group.sequence
    call()
    return group.sequence - before


@pytest.mark.parametrize("async_ops", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_all_reduces_of_several_dtypes_and_operations(size, async_ops):
    calls = [
        (shape, dtype, op)
        for shape in SHAPES
        for dtype in (torch.float32, torch.int64, torch.complex64)
        for op in (dist.ReduceOp.SUM, dist.ReduceOp.MAX)
        if not (dtype.is_complex and op is dist.ReduceOp.MAX)
    ]

    def run(rank):
        together = [numbers(rank, shape, dtype) for shape, dtype, _ in calls]
        alone = [tensor.clone() for tensor in together]

        def coalesced():
            with dist._coalescing_manager(async_ops=async_ops) as manager:
                for tensor, (_, _, op) in zip(together, calls, strict=True):
                    dist.all_reduce(tensor, op)
            manager.wait()

        count = operations(coalesced)
        for tensor, (_, _, op) in zip(alone, calls, strict=True):
            dist.all_reduce(tensor, op)
        assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))
        return count

    assert set(run_ranks(run, size)) == {5 + 5}  # a pack, and a large tensor, for each dtype and operation


@pytest.mark.parametrize("size", [1, 2, 3])
def test_gathers_and_reduce_scatters(size):
    def run(rank):
        wholes = [torch.zeros(size * length) for length in (1, 3)]
        parts = [torch.zeros(length) for length in (1, 3)]

        def coalesced():
            with dist._coalescing_manager():
                for whole, length in zip(wholes, (1, 3), strict=True):
                    dist.all_gather_single(whole, torch.ones(length) * rank)
            with dist._coalescing_manager():
                for part, whole in zip(parts, wholes, strict=True):
                    dist.reduce_scatter_single(part, whole)

        return operations(coalesced), [each.tolist() for each in (*wholes, *parts)]

    ranks = [float(rank) for rank in range(size)]
    for rank, (count, (one, three, *parts)) in enumerate(run_ranks(run, size)):
        assert count == 2
        assert one == ranks
        assert three == [each for each in ranks for _ in range(3)]
        assert parts == [[float(size * rank)], [float(size * rank)] * 3]


def test_factors_are_not_mixed():
    def run(rank):
        tensors = [torch.ones(2), torch.ones(2)]
        with dist._coalescing_manager():
            for factor, tensor in zip((0.5, 2.0), tensors, strict=True):
                dist.all_reduce(tensor, dist._make_nccl_premul_sum(factor))
        return [tensor.tolist() for tensor in tensors]

    assert run_ranks(run, 2) == [[[1.0, 1.0], [4.0, 4.0]]] * 2


def test_a_failed_block_leaves_nothing_behind():
    def run(rank):
        tensor = torch.ones(1)
        with pytest.raises(ZeroDivisionError), dist._coalescing_manager():
            dist.all_reduce(tensor)
            raise ZeroDivisionError
        assert tensor.item() == 1
        dist.all_reduce(tensor)
        return tensor.item()

    assert run_ranks(run, 2) == [2.0, 2.0]


def test_blocks_of_one_group_do_not_nest_and_do_not_mix_functions():
    def run(rank):
        with dist._coalescing_manager(), pytest.raises(ValueError, match="non-empty op list"):
            dist._coalescing_manager().__enter__()
        with (
            pytest.raises(RuntimeError, match="all collectives to be the same type"),
            dist._coalescing_manager(),
        ):
            dist.all_reduce(torch.ones(1))
            dist.all_gather_single(torch.ones(1), torch.ones(1))
        with dist._coalescing_manager():
            work = dist.all_reduce(torch.ones(1), async_op=True)
            for call in (work.wait, work.exception, work.get_future, work.source_rank):
                with pytest.raises(ValueError, match="IllegalWork"):
                    call()
            assert not work.is_completed()

    run_ranks(run, 1)


@pytest.mark.filterwarnings("ignore:`torch.distributed.all_")
def test_lists_of_tensors_travel_together():
    def run(rank):
        tensors = [torch.ones(length) * rank for length in (1, 2, 3)]
        count = operations(lambda: dist.all_reduce_coalesced(tensors))
        lists = [[torch.zeros(2)[::1], torch.zeros(2, 2)[:, 0]] for _ in range(2)]
        future = dist.all_gather_coalesced(lists, [torch.ones(2) * rank, torch.ones(2) + rank], async_op=True)
        assert future.wait() is not None
        return (
            count,
            [tensor.tolist() for tensor in tensors],
            [each.tolist() for row in lists for each in row],
        )

    gathered = [[0.0, 0.0], [1.0, 1.0], [1.0, 1.0], [2.0, 2.0]]
    assert run_ranks(run, 2) == [(1, [[1.0], [1.0] * 2, [1.0] * 3], gathered)] * 2
