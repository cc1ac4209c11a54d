"""What the communication functions do on tensors beyond what gloo can be compared with."""

import copy
import datetime
import pickle
import threading
import time
import warnings

import numpy as np
import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from distrt.core.errors import CollectiveTimeout, DistributedError, DtypeError, ShapeError
from tests.comm.ranks import run_ranks

SIZES = [1, 2, 3, 4]


def numbers(rank, *shape, dtype=torch.float32):
    return (torch.arange(int(np.prod(shape))).reshape(shape) + 10 * rank).to(dtype)


@pytest.mark.parametrize("size", SIZES)
def test_strided_tensors_are_changed_where_they_lie(size):
    def run(rank):
        parent = numbers(rank, 2, 4)
        dist.all_reduce(parent[:, ::2])
        dist.broadcast(parent[:, 1], 0)
        whole = torch.zeros(4 * size)
        dist.all_gather_single(whole[::2], numbers(rank, 2))
        part = torch.zeros(2, 2)
        dist.scatter(part[:, 0], [numbers(to, 4)[::2] for to in range(size)] if rank == 0 else None)
        return parent, whole, part

    for rank, (parent, whole, part) in enumerate(run_ranks(run, size)):
        total = sum(numbers(each, 2, 4) for each in range(size))
        assert torch.equal(parent[:, ::2], total[:, ::2])
        assert torch.equal(parent[:, 1], numbers(0, 2, 4)[:, 1])
        assert torch.equal(parent[:, 3], numbers(rank, 2, 4)[:, 3])
        assert whole.tolist() == [x for each in range(size) for x in (10.0 * each, 0, 10 * each + 1, 0)]
        assert part.tolist() == [[10.0 * rank, 0], [10 * rank + 2, 0]]


EXPANDED = {
    "all_reduce": lambda t, size: dist.all_reduce(t),
    "broadcast": lambda t, size: dist.broadcast(t, 0),
    "reduce": lambda t, size: dist.reduce(t, 0),
    "scatter": lambda t, size: dist.scatter(t, [torch.zeros(3)] * size if dist.get_rank() == 0 else None),
    "all_gather": lambda t, size: dist.all_gather([t] * size, torch.zeros(3)),
    "all_gather_single": lambda t, size: dist.all_gather_single(
        torch.zeros(1).expand(3 * size), torch.zeros(3)
    ),
    "reduce_scatter": lambda t, size: dist.reduce_scatter(t, [torch.zeros(3)] * size),
    "reduce_scatter_single": lambda t, size: dist.reduce_scatter_single(t, torch.zeros(3 * size)),
    "all_to_all": lambda t, size: dist.all_to_all([t] * size, [torch.zeros(3)] * size),
    "irecv": lambda t, size: dist.irecv(t),
}


@pytest.mark.parametrize("name", EXPANDED)
def test_a_tensor_whose_elements_share_memory_is_refused_on_every_rank(name):
    def run(rank):
        with pytest.raises(ShapeError, match="single memory location"):
            EXPANDED[name](torch.zeros(1).expand(3), 2)
        dist.barrier()

    run_ranks(run, 2)


def test_a_gradient_that_needs_an_overwritten_value_says_so():
    def run(rank):
        leaf = torch.ones(2, requires_grad=True)
        root = leaf.exp()
        dist.all_reduce(root)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            root.sum().backward()
        kept = torch.ones(2)
        dist.broadcast(kept, 0)
        dist.gather(kept, [torch.zeros(2), torch.zeros(2)] if rank == 0 else None)
        return kept._version

    assert run_ranks(run, 2) == [0, 1]


def test_inference_tensors_can_be_reduced_outside_inference_mode():
    def run(rank):
        with torch.inference_mode():
            loss = torch.ones(1) * rank
        dist.all_reduce(loss)
        return loss.item()

    assert run_ranks(run, 2) == [1.0, 1.0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("async_op", [False, True])
def test_ranks_may_bring_blocks_of_different_shapes(size, async_op):
    def run(rank):
        gathered = [torch.zeros(2, each) for each in range(size)]
        work = dist.all_gather(gathered, numbers(rank, 2, rank), async_op=async_op)
        block = torch.zeros(2 * (rank + 1))[::2]
        inputs = [numbers(rank, to + 1) for to in range(size)]
        reducing = dist.reduce_scatter(block, inputs, async_op=async_op)
        outputs = [torch.zeros(each * rank + 1) for each in range(size)]
        exchanging = dist.all_to_all(
            outputs, [numbers(rank, rank * to + 1) + 100 * to for to in range(size)], async_op=async_op
        )
        if async_op:
            for each in (work, reducing, exchanging):
                assert each.wait()
        return gathered, block, outputs

    for rank, (gathered, block, outputs) in enumerate(run_ranks(run, size)):
        for other in range(size):
            assert torch.equal(gathered[other], numbers(other, 2, other))
            assert torch.equal(outputs[other], numbers(other, other * rank + 1) + 100 * rank)
        assert torch.equal(block, sum(numbers(other, rank + 1) for other in range(size)))


def test_blocks_that_do_not_fit_are_refused_before_anything_is_sent():
    def run(rank):
        before = world.default_group().sequence
        for call in (
            lambda: dist.all_gather([torch.zeros(1), torch.zeros(2)], torch.zeros(3)),
            lambda: dist.all_gather_single(torch.zeros(5), torch.zeros(2)),
            lambda: dist.reduce_scatter(torch.zeros(3), [torch.zeros(1), torch.zeros(2)]),
            lambda: dist.all_to_all_single(torch.zeros(3), torch.zeros(3)),
            lambda: dist.all_to_all_single(torch.zeros(4), torch.zeros(2)),
            lambda: dist.all_to_all_single(torch.tensor(1.0), torch.tensor(1.0)),
            lambda: dist.all_to_all_single(torch.zeros(2), torch.zeros(2), [3, -1], [1, 1]),
        ):
            with pytest.raises(ShapeError):
                call()
        return world.default_group().sequence - before

    assert run_ranks(run, 2) == [0, 0]


def test_what_does_not_fit_its_receiver_is_an_error_on_every_rank():
    def run(rank):
        with pytest.raises(ShapeError, match="expects"):
            dist.all_to_all_single(torch.zeros(3), torch.zeros(3), [1, 2], [2, 1])
        dist.barrier()

    run_ranks(run, 2)


def test_one_tensor_may_hold_the_blocks_stacked_or_in_any_shape():
    def run(rank):
        stacked, flat, scalars = torch.zeros(2, 3, 2), torch.zeros(12), torch.zeros(2)
        dist.all_gather_single(stacked, numbers(rank, 3, 2))
        dist.all_gather_single(flat, numbers(rank, 3, 2))
        dist.all_gather_single(scalars, torch.tensor(float(rank)))
        part, scalar = torch.zeros(3, 2), torch.tensor(0.0)
        dist.reduce_scatter_single(part, stacked)
        dist.reduce_scatter_single(scalar, scalars)
        return stacked, flat, scalars, part, scalar

    for rank, (stacked, flat, scalars, part, scalar) in enumerate(run_ranks(run, 2)):
        assert torch.equal(stacked, torch.stack([numbers(0, 3, 2), numbers(1, 3, 2)]))
        assert torch.equal(flat, stacked.reshape(-1))
        assert scalars.tolist() == [0.0, 1.0]
        assert torch.equal(part, 2 * numbers(rank, 3, 2))
        assert scalar.item() == 2 * rank


def test_nothing_is_copied_on_the_way_to_the_group(monkeypatch):
    seen = []

    def run(rank):
        group = world.default_group()
        monkeypatch.setattr(
            group, "all_gather", lambda outputs, array, async_op: seen.extend([*outputs, array])
        )
        monkeypatch.setattr(
            group, "all_to_all", lambda outputs, arrays, async_op: seen.extend([*outputs, *arrays])
        )
        tensors = [torch.zeros(3, dtype=torch.complex64) for _ in range(2)]
        dist.all_gather(tensors[:1], tensors[1])
        dist.all_gather_single(*tensors)
        dist.all_to_all_single(*tensors)
        assert len(seen) == 6
        for place, array in enumerate(seen):
            assert np.shares_memory(array, tensors[place % 2]._array)

    run_ranks(run, 1)


@pytest.mark.parametrize("factor", [0.5, torch.tensor(0.5)])
def test_premultiplied_sums(factor):
    def run(rank):
        op = dist._make_nccl_premul_sum(factor)
        assert op == dist.ReduceOp.PREMUL_SUM
        tensor, output = numbers(rank, 2), torch.zeros(1)
        dist.all_reduce(tensor, op)
        dist.reduce_scatter(output, list(numbers(rank, 2, 1)), op)
        with pytest.raises(DtypeError, match="PREMUL_SUM"):
            dist.all_reduce(torch.ones(1, dtype=torch.int64), op)
        return tensor.tolist(), output.item()

    assert run_ranks(run, 2) == [([5.0, 6.0], 5.0), ([5.0, 6.0], 6.0)]


def test_reduce_operations_look_like_pytorchs():
    ops = dist.ReduceOp
    assert str(ops.SUM) == "RedOpType.SUM"
    assert repr(ops.MAX) == "<RedOpType.MAX: 4>"
    assert [
        int(getattr(ops, name)) for name in ("SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR")
    ] == list(range(8))
    assert ops.RedOpType.SUM is ops.SUM
    assert ops.RedOpType.__members__["MIN"] is ops.MIN
    assert pickle.loads(pickle.dumps(ops.SUM)) is copy.deepcopy(ops.SUM) is ops.SUM
    assert {ops.SUM: 1}[ops.SUM] == 1
    assert ops.SUM != ops.MAX
    with pytest.warns(FutureWarning, match="reduce_op` is deprecated"):
        assert dist.reduce_op.SUM is ops.SUM
    with pytest.raises(AttributeError, match="no operation 'SUMM'"):
        _ = dist.reduce_op.SUMM


DEPRECATED = {
    "all_gather_into_tensor": lambda: dist.all_gather_into_tensor(torch.zeros(1), torch.ones(1)),
    "_all_gather_base": lambda: dist._all_gather_base(torch.zeros(1), torch.ones(1)),
    "reduce_scatter_tensor": lambda: dist.reduce_scatter_tensor(torch.zeros(1), torch.ones(1)),
    "_reduce_scatter_base": lambda: dist._reduce_scatter_base(torch.zeros(1), torch.ones(1)),
    "all_reduce_coalesced": lambda: dist.all_reduce_coalesced([torch.ones(1)]),
    "all_gather_coalesced": lambda: dist.all_gather_coalesced([[torch.ones(1)]], [torch.ones(1)]),
}


@pytest.mark.parametrize("name", DEPRECATED)
def test_what_pytorch_deprecates_says_so(name):
    def run(rank):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            DEPRECATED[name]()
        return [(each.category, str(each.message), each.filename) for each in caught]

    (((category, message, filename),),) = run_ranks(run, 1)
    assert category is FutureWarning
    assert f"`torch.distributed.{name}`" in message
    assert filename == __file__


def test_whoever_waits_for_a_future_moves_its_operation_on():
    def run(rank):
        if rank == 1:
            time.sleep(0.1)
        tensor = torch.ones(2)
        future = dist.all_reduce(tensor, async_op=True).get_future()
        (found,) = future.wait()
        assert found is tensor
        return found.tolist()

    assert run_ranks(run, 2) == [[2.0, 2.0]] * 2


def test_a_barrier_with_a_time_out_names_who_did_not_come():
    done = threading.Event()

    def run(rank):
        soon = datetime.timedelta(seconds=0.05)
        if rank == 1:
            done.wait(20)
            return
        try:
            with pytest.raises(CollectiveTimeout, match=r"waited 0\.05 s for rank 1"):
                dist.barrier(timeout=soon)
            with pytest.raises(CollectiveTimeout, match="for rank 1"):
                dist.barrier(async_op=True, timeout=soon).wait()
            with pytest.raises(TypeError, match="timedelta"):
                dist.barrier(timeout=1)
        finally:
            done.set()

    run_ranks(run, 2)


def test_messages_to_oneself_and_scattered_tensors_are_refused():
    def run(rank):
        with pytest.raises(ValueError, match="Invalid destination rank"):
            dist.send(torch.zeros(1), rank)
        with pytest.raises(DistributedError, match="cannot receive from itself"):
            dist.recv(torch.zeros(1), rank)
        with pytest.raises(IndexError):
            dist.batch_isend_irecv([])
        other = dist.GroupMember.NON_GROUP_MEMBER
        for call in (
            lambda: dist.send(torch.zeros(1), 1 - rank, other),
            lambda: dist.send_object_list([1], 1 - rank, other),
            lambda: dist.recv_object_list([1], 1 - rank, other),
        ):
            with pytest.raises(ValueError, match="Invalid process group specified"):
                call()
        with pytest.raises(DistributedError, match="contiguous"):
            dist.isend(torch.zeros(4)[::2], 1 - rank)
        with pytest.raises(DistributedError, match="contiguous"):
            dist.irecv(torch.zeros(2, 2).t(), 1 - rank)

    run_ranks(run, 2)


def test_a_message_operation_tells_what_it_is():
    def run(rank):
        return repr(dist.P2POp(dist.irecv, torch.zeros(2), 1 - rank, tag=3))

    assert (
        run_ranks(run, 2)[0]
        == "P2POp(irecv pg=local, group_src=1, group_dst=0,  torch.Size([2]), torch.float32)"
    )


def test_shared_tensors_are_tensors():
    def run(rank):
        shared = dist.allocate_shared(2, 3)
        half = dist.allocate_shared((4,), dtype=torch.bfloat16)
        assert shared.dtype is torch.float32
        assert half.tolist() == [0.0] * 4
        shared += rank + 1
        dist.all_reduce(shared[0])
        values = shared.tolist()
        dist.free_shared(shared)
        with pytest.raises(DistributedError, match="at least 0"):
            dist.allocate_shared(-1)
        return values

    assert run_ranks(run, 2) == [[[3.0] * 3, [1.0] * 3], [[3.0] * 3, [2.0] * 3]]
