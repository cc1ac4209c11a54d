"""Collectives that return what they compute, on threads: values, gradients, groups and wrong use."""

import importlib
import inspect

import pytest

import distrt as torch
from distrt.comm.local import run_local
from distrt.comm.world import set_default_group
from distrt.core.errors import UnsupportedError
from distrt.distributed import _functional_collectives as collectives


def on_ranks(function, size=2):
    def run(group):
        set_default_group(group)
        return function(group, group.rank())

    return run_local(run, size)


@pytest.mark.parametrize(
    ("op", "value"), [("sum", 3.0), ("AVG", 1.5), ("product", 2.0), ("max", 2.0), ("min", 1.0)]
)
def test_all_reduce_leaves_its_argument_alone(op, value):
    def run(group, rank):
        given = torch.full((2,), rank + 1.0)
        found = collectives.wait_tensor(collectives.all_reduce(given, op, group))
        return found.tolist(), given.tolist()

    assert on_ranks(run) == [([value] * 2, [rank + 1.0] * 2) for rank in range(2)]


@pytest.mark.parametrize("dim", [0, 1])
def test_what_is_gathered_and_what_is_scattered_gives_gradients_back(dim):
    def run(group, rank):
        given = torch.full((2, 2), rank + 1.0, requires_grad=True)
        gathered = collectives.all_gather_single(given, dim, group)
        mine = collectives.reduce_scatter_single(gathered, "avg", dim, group)
        (mine * (rank + 1)).sum().backward()
        return tuple(gathered.shape), mine.tolist(), given.grad.tolist()

    shape = (4, 2) if dim == 0 else (2, 4)
    for rank, found in enumerate(on_ranks(run)):
        assert found == (shape, [[rank + 1.0] * 2] * 2, [[rank + 1.0] * 2] * 2)


def test_parts_are_exchanged_and_a_tensor_is_broadcast():
    def run(group, rank):
        given = torch.arange(3.0) + 10 * rank
        sizes = ([1, 2], [2, 1])
        received = collectives.all_to_all_single(
            given, [sizes[r][rank] for r in range(2)], sizes[rank], group
        )
        return received.tolist(), collectives.broadcast(given, 1, group).tolist()

    assert on_ranks(run) == [([0.0, 10.0, 11.0], [10.0, 11.0, 12.0]), ([1.0, 2.0, 12.0], [10.0, 11.0, 12.0])]


def test_who_broadcasts_is_counted_within_the_group():
    def run(group, rank):
        some = torch.distributed.new_group([1, 2])
        given = torch.full((1,), float(rank), requires_grad=True)
        if not rank:
            return None
        found = collectives.broadcast(given, 1, some)
        (found * rank).sum().backward()
        return found.item(), given.grad.item()

    assert on_ranks(run, 3) == [None, (2.0, 0.0), (2.0, 3.0)]


def test_groups_are_given_as_meshes_or_lists_of_all_ranks():
    def run(group, rank):
        mesh = torch.distributed.init_device_mesh("cpu", (1, 2), mesh_dim_names=("dp", "tp"))
        groups = [mesh["tp"], (mesh, 1), (mesh, "tp"), [0, 1], mesh["tp"].get_group()]
        groups.append(groups[-1].group_name)
        found = [collectives.all_reduce(torch.ones(1), "sum", each).item() for each in groups]
        with pytest.raises(UnsupportedError, match="new_group"):
            collectives.all_reduce(torch.ones(1), "sum", [0])
        with pytest.raises(ValueError, match="sum, avg"):
            collectives.all_reduce(torch.ones(1), "mean", group)
        with pytest.raises(RuntimeError, match="multiple of group_size 2"):
            collectives.reduce_scatter_single(torch.ones(3), "sum", 0, group)
        with pytest.warns(
            FutureWarning, match=r"use `torch\.distributed._functional_collectives\.all_gather_single`"
        ):
            found.append(collectives.all_gather_tensor(torch.ones(1), 0, group).numel())
        return found

    assert on_ranks(run) == [[2.0] * 7] * 2


@pytest.mark.parametrize("name", collectives.__all__)
def test_arguments_have_pytorchs_names_and_order(torch, name):
    theirs, mine = (
        getattr(importlib.import_module(f"{library}.distributed._functional_collectives"), name)
        for library in ("torch", "distrt")
    )
    assert list(inspect.signature(mine).parameters) == list(inspect.signature(theirs).parameters)
