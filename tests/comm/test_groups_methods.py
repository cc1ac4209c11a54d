"""The methods of process groups, as PyTorch has them: lists of tensors and options, and always a work."""

from datetime import timedelta

import numpy as np
import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from distrt.comm.local import run_local
from distrt.core.errors import CollectiveTimeout, UnsupportedError
from distrt.distributed.distributed_c10d import AllgatherOptions


@pytest.fixture
def solo():
    dist.init_process_group("gloo")
    yield dist.group.WORLD
    world.end_world()


def on_threads(fn, size=3):
    """What ``fn(group, rank)`` gives on each of ``size`` threads."""

    def run(group):
        world.set_default_group(group)
        made = dist.new_group()
        return fn(made, made.rank())

    return run_local(run, size, timeout_s=20.0)


def ones(rank, *shape):
    return torch.full(shape or (2,), float(rank + 1))


def test_the_default_group_has_the_methods_and_is_a_process_group(solo):
    assert isinstance(solo, dist.ProcessGroup)
    tensor = torch.ones(3)
    work = solo.allreduce([tensor])
    assert isinstance(work, dist.Work)
    assert work.wait() is True
    assert work.result()[0] is tensor


def test_allreduce_takes_options_operations_and_tensors():
    def run(group, rank):
        options = dist.AllreduceOptions()
        options.reduceOp = dist.ReduceOp.MAX
        tensors = [ones(rank) for _ in range(4)]
        group.allreduce([tensors[0]], options).wait()
        group.allreduce([tensors[1]], dist.ReduceOp.MIN).wait()
        group.allreduce(tensors[2], op=dist.ReduceOp.PRODUCT).wait()
        group.allreduce(tensors[3]).wait()
        return [each[0].item() for each in tensors]

    assert on_threads(run) == [[3.0, 1.0, 6.0, 6.0]] * 3


def test_roots_are_ranks_of_the_group():
    def run(group, rank):
        options = dist.BroadcastOptions()
        options.rootRank = 2
        first, second, third = ones(rank), ones(rank), ones(rank)
        group.broadcast([first], options).wait()
        group.broadcast(second, 1).wait()
        reduce_options = dist.ReduceOptions()
        reduce_options.rootRank = 1
        reduce_options.reduceOp = dist.ReduceOp.MAX
        group.reduce([third], reduce_options).wait()
        group.reduce(ones(rank), root=0).wait()
        return [each[0].item() for each in (first, second, third)]

    assert on_threads(run) == [[3.0, 2.0, 1.0], [3.0, 2.0, 3.0], [3.0, 2.0, 3.0]]


def test_gather_and_scatter_have_nothing_to_list_on_the_other_ranks():
    def run(group, rank):
        options = dist.GatherOptions()
        options.rootRank = 1
        outputs = [torch.zeros(2) for _ in range(3)]
        group.gather([outputs] if rank == 1 else [], [ones(rank)], options).wait()
        again = [torch.zeros(2) for _ in range(3)]
        group.gather(again if rank == 1 else [], ones(rank), 1).wait()
        assert all(a.equal(b) for a, b in zip(outputs, again, strict=True))
        options = dist.ScatterOptions()
        options.rootRank = 1
        tensor = torch.zeros(2)
        group.scatter([tensor], [outputs] if rank == 1 else [], options).wait()
        assert tensor.equal(ones(rank))
        tensor.zero_()
        group.scatter(tensor, outputs if rank == 1 else [], 1).wait()
        return tensor[0].item(), sum(each[0].item() for each in outputs)

    assert on_threads(run) == [(1.0, 0.0), (2.0, 6.0), (3.0, 0.0)]


def test_blocks():
    def run(group, rank):
        outputs = [torch.zeros(2) for _ in range(3)]
        group.allgather([outputs], [ones(rank)], AllgatherOptions()).wait()
        group.allgather(outputs, ones(rank)).wait()
        whole = torch.zeros(6)
        group._allgather_base(whole, ones(rank)).wait()
        assert whole.equal(torch.cat(outputs))
        several = [torch.zeros(6), torch.zeros(3, 1)]
        group.allgather_into_tensor_coalesced(several, [ones(rank), ones(rank, 1)]).wait()
        assert several[0].equal(whole)
        rows = [[torch.zeros(2), torch.zeros(1)] for _ in range(3)]
        group.allgather_coalesced(rows, [ones(rank), ones(rank, 1)]).wait()
        assert [row[1].item() for row in rows] == [1.0, 2.0, 3.0] == several[1].reshape(-1).tolist()

        options = dist.ReduceScatterOptions()
        options.reduceOp = dist.ReduceOp.MAX
        parts = [torch.zeros(2) for _ in range(4)]
        group.reduce_scatter([parts[0]], [[ones(rank)] * 3], options).wait()
        group.reduce_scatter(parts[1], [ones(rank)] * 3).wait()
        group._reduce_scatter_base(parts[2], whole, options).wait()
        group.reduce_scatter_tensor_coalesced([parts[3]], [whole]).wait()
        return [part[0].item() for part in parts]

    assert on_threads(run) == [[3.0, 6.0, rank + 1.0, 3 * (rank + 1.0)] for rank in range(3)]


def test_all_to_all():
    def run(group, rank):
        outputs = [torch.zeros(1) for _ in range(3)]
        group.alltoall(outputs, [torch.tensor([10.0 * rank + to]) for to in range(3)]).wait()
        whole, again = torch.zeros(3), torch.zeros(3)
        group.alltoall_base(whole, torch.tensor([10.0 * rank + to for to in range(3)]), [], []).wait()
        group.all_to_all_single(again, torch.arange(3.0), [1, 1, 1], [1, 1, 1], dist.AllToAllOptions()).wait()
        return torch.cat(outputs).tolist(), whole.tolist(), again.tolist()

    for rank, (outputs, whole, again) in enumerate(on_threads(run)):
        assert outputs == whole == [rank, 10.0 + rank, 20.0 + rank]
        assert again == [float(rank)] * 3


def test_messages():
    def run(group, rank):
        if rank == 0:
            group.send([torch.tensor([5.0])], 1, 7).wait()
            group.send([torch.tensor([6.0])], dstRank=2, tag=8).wait()
            return None
        tensor = torch.zeros(1)
        work = group.recv([tensor], 0, 7) if rank == 1 else group.recv_anysource([tensor], 8)
        work.wait()
        return tensor.item(), work.source_rank()

    assert on_threads(run) == [None, (5.0, 0), (6.0, 0)]


def test_barriers_and_timeouts():
    def run(group, rank):
        group.barrier().wait()
        group.barrier(dist.BarrierOptions()).wait()
        group.monitored_barrier()
        if rank == 0:
            with pytest.raises(CollectiveTimeout):
                group.barrier(timeout=timedelta(milliseconds=50)).wait()
        world.default_group().barrier()
        if rank != 0:
            group.barrier()
        return True

    assert on_threads(run) == [True] * 3


def test_methods_that_arrays_have_too_still_take_arrays():
    def run(group, rank):
        array = np.full(2, float(rank))
        group.broadcast(array, 1)
        output = np.zeros((3, 2)) if rank == 0 else None
        group.gather(output, array, 0)
        group.scatter(array, output, 0)
        group.reduce(array, 0)
        part = np.zeros(1)
        group.reduce_scatter(part, np.ones((3, 1)))
        group.barrier(async_op=True).wait()
        if rank == 0:
            group.send(array, 1)
        elif rank == 1:
            group.recv(array, 0)
        return array[0], part[0]

    assert on_threads(run) == [(3.0, 3.0), (3.0, 3.0), (1.0, 3.0)]


@pytest.mark.parametrize(
    "call",
    [
        lambda group: group.allreduce(3),
        lambda group: group.allreduce([torch.ones(1)], 3),
        lambda group: group.broadcast(torch.ones(1)),
        lambda group: group.broadcast([torch.ones(1)], root=0),
        lambda group: group.send([torch.ones(1)], 0),
        lambda group: group.barrier(3),
        lambda group: group.set_timeout(3),
    ],
)
def test_arguments_that_fit_no_form_are_a_type_error(solo, call):
    with pytest.raises(TypeError, match=r"incompatible|expected"):
        call(solo)


def test_a_list_of_no_or_several_tensors_is_refused(solo):
    with pytest.raises(NotImplementedError, match="no tensor arguments"):
        solo.allreduce([])
    with pytest.raises(UnsupportedError, match="one tensor"):
        solo.allreduce([torch.ones(1), torch.ones(1)])
    with pytest.raises(RuntimeError, match="root 1"):
        solo.broadcast(torch.ones(1), 1)


def test_several_tensors_at_once(solo):
    tensors = [torch.ones(1), torch.ones(2)]
    work = solo.allreduce_coalesced(tensors, dist.AllreduceCoalescedOptions())
    work.wait()
    assert work.result() == tensors


def test_options_have_pytorchs_fields_and_refuse_others():
    options = dist.ReduceOptions()
    assert (options.rootRank, options.rootTensor, options.asyncOp) == (0, 0, True)
    assert options.timeout == timedelta(seconds=-1)
    assert options.reduceOp == dist.ReduceOp.SUM
    with pytest.raises(AttributeError):
        options.foo = 3
    with pytest.raises(TypeError, match="reduceOp: expected ReduceOp"):
        options.reduceOp = 3
    with pytest.raises(TypeError):
        dist.BroadcastOptions(3)
    barrier = dist.BarrierOptions()
    barrier.device_ids = [0]
    assert dist.BarrierOptions().device_ids == []
    assert "rootRank=0" in repr(dist.GatherOptions())


def test_what_a_group_says_of_itself(solo):
    assert (solo.rank(), solo.size(), solo.name(), solo.group_name) == (0, 1, "gloo", "0")
    assert (solo.group_desc, solo.bound_device_id) == ("default_pg", None)
    backend = solo._get_backend(torch.device("cpu"))
    assert backend.name() == "gloo"
    assert backend.options._timeout == timedelta(minutes=30)
    assert solo._get_backend_name() == "gloo"
    assert {each.type for each in solo._device_types} == {"cpu", "cuda"}
    with pytest.raises(RuntimeError, match="No backend type associated with device type xpu"):
        solo._get_backend("xpu")
    solo.set_timeout(timedelta(seconds=5))
    assert solo.options._timeout == timedelta(seconds=5)


def test_a_group_that_is_shut_down_can_still_be_destroyed(solo):
    solo.shutdown()
    solo.abort()
    with pytest.raises(RuntimeError, match="of no use"):
        solo.allreduce([torch.ones(1)])
    dist.destroy_process_group()
    assert not dist.is_initialized()


def test_a_group_splits():
    def run(group, rank):
        part = group.split_group([0, 2])
        return None if part is None else (part.rank(), part.size(), isinstance(part, dist.ProcessGroup))

    assert on_threads(run) == [(0, 2, True), None, (1, 2, True)]
