"""Process groups in one process: a world of one, and ranks that are threads."""

import os
import socket
import threading
import time
import warnings
from datetime import timedelta

import numpy as np
import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from distrt.comm.functions.membership import resolve, to_group_rank
from distrt.comm.local import run_local
from distrt.core.errors import DistributedError, NoGroupError, RendezvousError
from tests.ports import free_port


@pytest.fixture
def solo():
    dist.init_process_group("gloo")
    group = dist.group.WORLD
    assert group is not None
    yield group
    world.end_world()


def on_threads(fn, size=4):
    """What ``fn()`` gives on each of ``size`` threads, whose default group has them all."""

    def run(group):
        world.set_default_group(group)
        return fn()

    return run_local(run, size, timeout_s=20.0)


def test_each_thread_has_its_own_default_group():
    def run():
        return dist.get_rank(), dist.get_world_size(), dist.get_backend_config(), dist.is_initialized()

    assert on_threads(run, 3) == [(rank, 3, "cpu:local", True) for rank in range(3)]
    assert not dist.is_initialized()


def test_threads_make_groups_of_some_of_them():
    def run():
        rank = dist.get_rank()
        group = dist.new_group([3, 1])
        if group is dist.GroupMember.NON_GROUP_MEMBER:
            return dist.get_rank(group), dist.get_world_size(group), None
        tensor = torch.tensor([float(rank)])
        dist.all_reduce(tensor, group=group)
        return dist.get_rank(group), dist.get_process_group_ranks(group), tensor.item()

    assert on_threads(run) == [(-1, -1, None), (0, [1, 3], 4.0), (-1, -1, None), (1, [1, 3], 4.0)]


def test_threads_destroy_what_they_made():
    def run():
        mine, groups = dist.new_subgroups(2)
        before = dist.get_pg_count()
        dist.barrier(mine)
        dist.destroy_process_group(mine)
        dist.barrier()
        with pytest.raises(ValueError, match="Invalid process group"):
            dist.destroy_process_group(mine)
        dist.destroy_process_group()
        return before, len(groups), dist.is_initialized(), mine.is_closed

    assert on_threads(run) == [(3, 2, False, True)] * 4


def test_groups_that_only_members_make_need_not_be_made_by_all_in_one_order():
    def run():
        rank = dist.get_rank()
        if rank == 0:
            return None
        if rank != 3:
            first = dist.new_group([2, 1], use_local_synchronization=True)
            second = dist.new_group([1, 2], use_local_synchronization=True)
            assert first.group_name != second.group_name
        if rank != 1:
            dist.new_group([2, 3], use_local_synchronization=True)
        whole = dist.new_group([3, 2, 1], use_local_synchronization=True, sort_ranks=False)
        tensor = torch.tensor([rank])
        dist.broadcast(tensor, group_src=0, group=whole)
        return tensor.item()

    assert on_threads(run) == [None, 3, 3, 3]


def test_ranks_that_leave_and_come_back_number_their_groups_afresh():
    def run():
        names = []
        group = dist.group.WORLD
        for _ in range(2):
            names.append(dist.new_group([0]).group_name if dist.get_rank() == 0 else dist.new_group([0]))
            world.set_default_group(None)
            world.set_default_group(group)
        return names

    assert on_threads(run, 2) == [["1", "1"], [-100, -100]]


def test_resolve_gives_the_default_group_for_none(solo):
    assert resolve(None, "all_reduce") is solo
    assert resolve(solo, "all_reduce") is solo


def test_resolve_warns_where_this_rank_is_no_member(solo):
    with pytest.warns(UserWarning, match="Running gather on global rank 0 which does not belong"):
        assert resolve(dist.GroupMember.NON_GROUP_MEMBER, "gather") is None


@pytest.mark.parametrize("group", ["world", 3, object()])
def test_resolve_refuses_what_is_no_group(solo, group):
    with pytest.raises(TypeError, match="gather: group: expected a ProcessGroup"):
        resolve(group, "gather")


def test_calls_without_a_default_group_say_what_to_call():
    for call in (dist.get_rank, dist.new_group, lambda: resolve(None, "reduce")):
        with pytest.raises(NoGroupError, match="make sure to call init_process_group") as caught:
            call()
        assert isinstance(caught.value, ValueError) and isinstance(caught.value, DistributedError)


def test_a_rank_is_named_once_globally_or_in_the_group():
    def run():
        group = dist.new_group([1, 3])
        if dist.get_rank() % 2 == 0:
            return None
        for given in ((None, None), (1, 0)):
            with pytest.raises(ValueError, match="broadcast: src: "):
                to_group_rank(group, *given, "broadcast: src")
        with pytest.raises(ValueError, match="Global rank 0 is not part of group"):
            to_group_rank(group, 0, None, "broadcast: src")
        return to_group_rank(group, 3, None, "broadcast: src"), to_group_rank(
            group, None, 0, "broadcast: src"
        )

    assert on_threads(run) == [None, (1, 0), None, (1, 0)]


def test_a_world_of_one_has_groups(solo):
    group = dist.new_group([0], group_desc="alone")
    tensor = torch.ones(2)
    dist.all_reduce(tensor, group=group)
    np.testing.assert_array_equal(tensor.numpy(), [1, 1])
    assert (group.group_desc, dist.get_process_group_ranks(group), dist.get_pg_count()) == ("alone", [0], 2)
    assert dist.split_group(split_ranks=[[0]]).group_desc == "default_pg:split:0#1"


def test_nccl_is_served_as_gloo_with_a_warning():
    with pytest.warns(UserWarning, match="no GPU is available"):
        dist.init_process_group("nccl")
    try:
        assert dist.get_backend() == "gloo"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert dist.get_backend(dist.new_group()) == "gloo"
    finally:
        dist.destroy_process_group()


@pytest.mark.parametrize("backend", ["shm", "mpi", "cpu:gloo,cuda:nccl", dist.Backend.GLOO, "CPU:GLOO"])
def test_the_backend_is_called_what_was_asked_for(backend):
    dist.init_process_group(backend)
    try:
        assert dist.get_backend() == backend.lower()
    finally:
        dist.destroy_process_group()


def test_a_rendezvous_that_fails_leaves_no_group_and_no_connection():
    port = free_port()
    with pytest.raises(RendezvousError):
        dist.init_process_group(
            "gloo", f"tcp://127.0.0.1:{port}", timedelta(seconds=0.3), world_size=2, rank=0
        )
    assert not dist.is_initialized()
    deadline = time.monotonic() + 10
    while is_served(port):  # the store's thread ends by itself
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_served(port):
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def test_the_store_is_closed_after_the_groups_and_once():
    closed = []
    group = world.solo_group()
    world.set_world(world.World(group, lambda: closed.append(group.is_closed)))
    made = dist.new_group()
    dist.destroy_process_group()
    world.end_world()
    assert (closed, made.is_closed, dist.is_initialized()) == ([True], True, False)


def test_a_forked_child_that_ends_leaves_the_world_to_its_parent():
    closed = []
    current = world.World(world.solo_group(), lambda: closed.append("closed"))
    child = os.fork()
    if child == 0:
        current.end()
        os._exit(len(closed))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    current.end()
    assert closed == ["closed"]


def test_another_thread_may_leave_the_world(solo):
    thread = threading.Thread(target=dist.destroy_process_group)
    thread.start()
    thread.join()
    assert not dist.is_initialized() and solo.is_closed


def test_what_fails_between_ranks_is_a_backend_error():
    def run():
        if dist.get_rank() == 0:
            dist.destroy_process_group()
            return "left"
        try:
            dist.barrier()
        except dist.DistBackendError as error:
            assert isinstance(error, RuntimeError) and isinstance(error, dist.DistError)
            return "told"

    assert on_threads(run, 2) == ["left", "told"]


def test_the_debug_level_is_the_environments_until_it_is_set(monkeypatch):
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", "info")
    assert dist.get_debug_level() is dist.DebugLevel.INFO
    assert f"{dist.get_debug_level()}" == "DebugLevel.INFO" and int(dist.get_debug_level()) == 1
    monkeypatch.setattr("distrt.comm.functions.debug_level._chosen", [])
    dist.set_debug_level(dist.DebugLevel.DETAIL)
    assert dist.get_debug_level() is dist.DebugLevel.DETAIL
    dist.set_debug_level_from_env()
    assert dist.get_debug_level() is dist.DebugLevel.INFO
    monkeypatch.setenv("TORCH_DISTRIBUTED_DEBUG", "loud")
    with pytest.raises(RuntimeError, match="expected OFF, INFO or DETAIL"):
        dist.set_debug_level_from_env()


def test_every_name_of_the_facade_is_at_the_path_of_pytorch_too():
    from distrt.distributed import distributed_c10d as c10d

    for name in dist.__all__:
        if name != "distributed_c10d":
            assert getattr(c10d, name) is getattr(dist, name)
    assert c10d._get_default_group is world.default_group
    with pytest.raises(AttributeError, match="nothing_such"):
        c10d.nothing_such
