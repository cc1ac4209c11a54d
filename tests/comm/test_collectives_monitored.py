"""`monitored_barrier`: who did not come is known on every rank, and the group goes on."""

import datetime
import threading

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.core.errors import CollectiveTimeout
from tests.comm.ranks import run_ranks

SOON = datetime.timedelta(seconds=0.2)


@pytest.mark.parametrize(
    ("late", "wait_all_ranks", "text"),
    [
        ([1], False, r"Rank 1 failed to pass monitoredBarrier in 200 ms$"),
        ([1], True, r"Ranks 1 failed to pass monitoredBarrier in 200 ms$"),
        ([2, 3], False, r"Rank 2 failed to pass monitoredBarrier in 200 ms; ranks 2, 3 did not come$"),
        ([2, 3], True, r"Ranks 2, 3 failed to pass monitoredBarrier in 200 ms$"),
    ],
)
def test_every_rank_learns_who_did_not_come_in_time(late, wait_all_ranks, text):
    over = threading.Event()

    def run(rank):
        if rank in late:
            over.wait(20)
        try:
            with pytest.raises(CollectiveTimeout, match=rf"\[Rank {rank}\]: {text}"):
                dist.monitored_barrier(timeout=SOON, wait_all_ranks=wait_all_ranks)
        finally:
            if rank == 0:
                over.set()
        tensor = torch.ones(1)
        dist.all_reduce(tensor)
        dist.monitored_barrier()
        return tensor.item()

    assert run_ranks(run, 4) == [4.0] * 4


def test_a_missing_rank_0_is_named_by_the_others():
    over = threading.Barrier(3)

    def run(rank):
        if rank:
            with pytest.raises(CollectiveTimeout, match="Rank 0 failed to pass monitoredBarrier"):
                dist.monitored_barrier(timeout=SOON)
        over.wait(20)

    run_ranks(run, 3)


def test_a_time_out_in_seconds_is_taken_with_a_warning():
    def run(rank):
        with pytest.warns(UserWarning, match="specify timeout arg as a timedelta"):
            dist.monitored_barrier(timeout=5.0)
        with pytest.raises(TypeError, match="timedelta"):
            dist.monitored_barrier(timeout=5)
        for _ in range(3):
            dist.monitored_barrier()

    run_ranks(run, 1)
