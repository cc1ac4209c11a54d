"""The object collectives: what travels, what does not, and how the ranks hear of it."""

import fractions

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.comm.codec.records import CodecError
from distrt.core.errors import DistributedError, ShapeError
from tests.comm.ranks import run_ranks

UNKNOWN = fractions.Fraction(1, 3)  # a class that only a pickle can send


def all_gather(value, **options):
    gathered = [None] * dist.get_world_size()
    dist.all_gather_object(gathered, value, **options)
    return gathered


def gather(value, **options):
    gathered = [None] * dist.get_world_size() if dist.get_rank() == 0 else None
    dist.gather_object(value, gathered, **options)
    return gathered


def broadcast(value, **options):
    shared = [value, None]
    dist.broadcast_object_list(shared, src=0, **options)
    return shared


def scatter(value, **options):
    output = [None]
    dist.scatter_object_list(output, [value] * dist.get_world_size(), src=0, **options)
    return output


WAYS = [all_gather, gather, broadcast, scatter]


@pytest.mark.parametrize("way", WAYS)
def test_only_ranks_that_allow_pickle_send_and_read_it(way):
    def run(rank):
        return str(way(UNKNOWN, allow_pickle=True))

    assert all("Fraction(1, 3)" in found or found == "None" for found in run_ranks(run, 2))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("size", [2, 3])
def test_a_rank_whose_object_cannot_be_sent_tells_the_others(way, size):
    def run(rank):
        with pytest.raises((TypeError, DistributedError)) as caught:
            way(UNKNOWN if rank == 0 else 1)
        dist.barrier()
        return type(caught.value), str(caught.value)

    (kind, text), *others = run_ranks(run, size)
    assert kind is TypeError
    assert "Fraction" in text
    for other, told in others:
        assert other is DistributedError
        assert "rank 0 has an object that cannot be sent" in told


@pytest.mark.parametrize("way", [all_gather, broadcast, scatter])
def test_a_pickle_is_not_read_by_a_rank_that_does_not_allow_it(way):
    def run(rank):
        if rank == 0:
            way(UNKNOWN, allow_pickle=True)
        else:
            with pytest.raises(CodecError, match="allow_pickle=True"):
                way(1, weights_only=True)
        dist.barrier()

    run_ranks(run, 2)


def test_a_pickled_message_is_not_read_unless_allowed():
    def run(rank):
        if rank == 0:
            for _ in range(2):
                dist.send_object_list([UNKNOWN, 1], 1, allow_pickle=True)
            return None
        objects = [None, None]
        with pytest.raises(CodecError, match="allow_pickle=True"):
            dist.recv_object_list(objects, 0)
        assert objects == [None, None]
        assert dist.recv_object_list(objects, 0, allow_pickle=True) == 0
        return objects

    assert run_ranks(run, 2)[1] == [UNKNOWN, 1]


def test_a_sender_tells_its_receiver_that_it_cannot_send():
    def run(rank):
        if rank == 0:
            with pytest.raises(TypeError, match="Fraction"):
                dist.send_object_list([UNKNOWN], 1)
        else:
            with pytest.raises(DistributedError, match="rank 0 has an object that cannot be sent"):
                dist.recv_object_list([None], 0)

    run_ranks(run, 2)


def test_lists_of_different_lengths_are_named_and_the_group_stays_usable():
    def run(rank):
        if rank == 0:
            dist.broadcast_object_list([1, 2, 3], src=0)
        else:
            with pytest.raises(ShapeError, match="rank 0 sends 3 objects, and object_list has 1 places"):
                dist.broadcast_object_list([None], src=0)
        dist.barrier()
        if rank == 0:
            with pytest.raises(ShapeError, match="1 objects for 2 ranks"):
                dist.scatter_object_list([None], [1])
        with pytest.raises(IndexError, match="1 places for 2 ranks"):
            dist.all_gather_object([None], 1)

    run_ranks(run, 2)


def test_empty_lists_and_empty_objects_travel():
    def run(rank):
        nothing = []
        dist.broadcast_object_list(nothing)
        shared = [""] if rank else [b""]
        dist.broadcast_object_list(shared, src=1)
        return nothing, shared, all_gather({})

    assert run_ranks(run, 2) == [([], [""], [{}, {}])] * 2


def test_a_received_tensor_is_the_receivers_own():
    def run(rank):
        mine = torch.ones(2) * rank
        gathered = all_gather({"tensor": mine})
        gathered[rank]["tensor"] += 5
        return mine.tolist(), gathered[1]["tensor"].tolist()

    assert run_ranks(run, 2) == [([0.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [6.0, 6.0])]
