"""What a process group refuses, alike on every transport, and how the default group is found."""

import json
import threading

import numpy as np
import pytest

from distrt.comm import world
from distrt.comm.environment import Environment
from distrt.comm.local import run_local
from distrt.comm.process_group import ReduceOp
from distrt.comm.world import solo_group
from distrt.core.errors import (
    CollectiveTimeout,
    DistributedError,
    DtypeError,
    PeerFailed,
    RendezvousError,
    ShapeError,
)

ONES = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (
            lambda group: group.broadcast(ONES.copy(), 1),
            DistributedError,
            "src 1 is not a rank of a group of 1",
        ),
        (lambda group: group.broadcast(ONES.copy(), -1), DistributedError, "src -1"),
        (
            lambda group: group.all_gather(np.empty((2, 4), "f4"), ONES),
            ShapeError,
            r"must have shape \(1, 4\)",
        ),
        (
            lambda group: group.all_gather(np.empty((1, 4)), ONES),
            ShapeError,
            "output is float64 and array is float32",
        ),
        (lambda group: group.reduce_scatter(ONES.copy(), ONES), ShapeError, r"must have shape \(1, 4\)"),
        (lambda group: group.all_reduce(np.ones(3, "i8"), ReduceOp.AVG), DtypeError, "use SUM and divide"),
        (lambda group: group.all_reduce(np.ones(3, "c8"), ReduceOp.MAX), DtypeError, "have no order"),
        (lambda group: group.all_reduce(np.array([None])), DtypeError, "object"),
        (lambda group: group.all_reduce(np.ones(3, ">f4")), DtypeError, "not one of"),
        (lambda group: group.broadcast(np.array(["a"]), 0), DtypeError, "not one of"),
        (lambda group: group.all_reduce(np.broadcast_to(ONES, (3, 4))), DistributedError, "read-only"),
    ],
)
def test_a_call_that_makes_no_sense_is_refused(call, error, text):
    with pytest.raises(error, match=text):
        call(solo_group())


def test_a_closed_group_refuses_calls_and_closes_again():
    group = solo_group()
    group.close()
    group.close()
    with pytest.raises(DistributedError, match="it was closed"):
        group.barrier()


def test_a_rank_that_raises_wakes_the_others_and_its_error_is_the_one_that_is_raised():
    errors = []

    def run(group):
        if group.rank() == 1:
            raise ZeroDivisionError("mine")
        try:
            group.barrier()
        except PeerFailed as error:
            errors.append(str(error))
            raise

    with pytest.raises(ZeroDivisionError, match="mine"):
        run_local(run, 3, timeout_s=30)
    assert len(errors) == 2 and all("barrier #1: rank 1 failed or left" in error for error in errors)


def test_a_late_rank_is_named_by_the_timeout():
    gate = threading.Event()

    def run(group):
        if group.rank() == 1:
            gate.wait(10)
            return
        try:
            group.barrier()
        finally:
            gate.set()

    with pytest.raises(CollectiveTimeout, match=r"rank 0: barrier #1: waited 0.1 s for rank 1"):
        run_local(run, 2, timeout_s=0.1)


def test_threads_can_have_default_groups_of_their_own():
    def run(group):
        world.set_default_group(group)
        group.barrier()
        return world.default_group().rank()

    assert run_local(run, 3) == [0, 1, 2]
    assert not world.is_initialized()


def test_without_a_default_group_the_error_says_what_to_call():
    with pytest.raises(DistributedError, match="init_process_group"):
        world.default_group()


class OtherRank:
    """A store in which rank 1 has said what it is."""

    def __init__(self, **changed):
        self.values = {}
        self.changed = changed

    def add(self, key, amount):
        return amount

    def set(self, key, value):
        self.values[key] = value

    def get(self, key, *, ranks=()):
        if key in self.values:
            return self.values[key]
        mine = json.loads(self.values[key.replace("/1", "/0")])
        return json.dumps({**mine, "host": "elsewhere", **self.changed}).encode()


def test_a_rank_that_runs_another_version_is_refused():
    place = Environment(rank=0, world_size=2, local_world_size=2)
    with pytest.raises(RendezvousError, match=r"rank 1 \(elsewhere\) 0.0.9; install one version"):
        world.create_group(place, OtherRank(version="0.0.9"), 5.0)


def test_one_rank_needs_no_store():
    array = ONES.copy()
    world.create_group(Environment(), None, 5.0).all_reduce(array, ReduceOp.AVG)
    assert (array == 1).all()
