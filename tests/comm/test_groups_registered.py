"""Backends that scripts register, and groups over stores of their own."""

import threading
from datetime import timedelta

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm import world
from distrt.core.errors import UnsupportedError


@pytest.fixture
def backends():
    """Takes back what a test registers."""
    kept = {
        name: (type(value)(value), value)
        for name, value in vars(dist.Backend).items()
        if isinstance(value, dict | list)
    }
    yield dist.Backend
    for copy, value in kept.values():
        value.clear()
        value.extend(copy) if isinstance(value, list) else value.update(copy)
    if hasattr(dist.Backend, "MINE"):
        del dist.Backend.MINE
    world.end_world()


def test_threads_make_a_group_over_a_store():
    store, found = dist.HashStore(), {}

    def run(rank):
        group = dist.ProcessGroupGloo(store, rank, 2, timeout=timedelta(seconds=20))
        tensor = torch.tensor([float(rank + 1)])
        group.allreduce([tensor]).wait()
        found[rank] = (
            tensor.item(),
            group.rank(),
            group.size(),
            group.name(),
            group.get_group_store() is store,
        )
        group.barrier()
        group.shutdown()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == {rank: (3.0, rank, 2, "gloo", True) for rank in range(2)}
    assert not dist.is_initialized()


def test_a_group_over_a_store_of_a_rank_that_it_cannot_have():
    with pytest.raises(ValueError, match="rank 2 is not a rank of a group of 2"):
        dist.ProcessGroupGloo(dist.HashStore(), 2, 2)
    with pytest.raises(TypeError, match="timedelta"):
        dist.ProcessGroupGloo(dist.HashStore(), 0, 1, 3.0)


def test_a_registered_function_makes_the_groups(backends):
    asked = []

    def create(store, rank, size, timeout):
        asked.append((rank, size, timeout))
        return dist.ProcessGroupGloo(store, rank, size, timeout)

    backends.register_backend("mine", create, devices="cpu")
    assert backends.MINE == "mine"
    assert dist.is_backend_available("mine")
    assert repr(dist.BackendConfig("mine")) == "cpu:mine"
    store = dist.HashStore()
    dist.init_process_group("mine", store=store, rank=0, world_size=1, timeout=timedelta(seconds=9))
    part = dist.new_group([0])
    tensor = torch.ones(2)
    dist.all_reduce(tensor, group=part)
    assert asked[0] == (0, 1, timedelta(seconds=9))
    assert len(asked) == 2
    assert dist.get_backend() == dist.get_backend(part) == part.name() == "mine"
    assert dist.group.WORLD.get_group_store() is store
    dist.destroy_process_group(part)
    dist.destroy_process_group()


def test_a_registered_function_may_want_options(backends):
    asked = []

    def create(options, pg_options):
        asked.append((options.group_rank, options.group_size, options.global_ranks_in_group, pg_options))
        return dist.ProcessGroupGloo(options.store, options.group_rank, options.group_size, options.timeout)

    backends.register_backend("mine", create, extended_api=True, devices=["cpu"])
    dist.init_process_group("cpu:mine", pg_options="mine, too", rank=0, world_size=1)
    assert asked == [(0, 1, [0], "mine, too")]
    assert dist.get_backend() == "cpu:mine"


def test_a_function_that_gives_something_else_is_told_what_it_may_give(backends):
    backends.register_backend("mine", lambda store, rank, size, timeout: object(), devices="cpu")
    with pytest.raises(UnsupportedError, match="ProcessGroupGloo"):
        dist.init_process_group("mine", store=dist.HashStore(), rank=0, world_size=1)
    assert not dist.is_initialized()


def test_a_function_without_devices_is_warned_of(backends):
    with pytest.warns(UserWarning, match="Device capability of Mine unspecified"):
        backends.register_backend("Mine", lambda *given: None)
    assert backends.backend_capability["mine"] == ["cpu", "cuda"]


def test_a_group_that_met_without_a_store_of_the_scripts_gives_the_one_where_it_met():
    dist.init_process_group("gloo")
    try:
        store = dist.group.WORLD.get_group_store()
        store.set("a", "1")
        assert dist.group.WORLD.get_group_store().get("a") == b"1"
        with pytest.raises(UnsupportedError, match="TCPStore"):
            dist.new_group([0]).get_group_store()
    finally:
        dist.destroy_process_group()
