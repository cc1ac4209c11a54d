"""The default group belongs to the process: every thread of it sees the group."""

import threading

import distrt.distributed as dist
from distrt.comm.local import run_local


def test_a_thread_sees_the_group_of_its_process():
    dist.init_process_group()
    try:
        seen = []
        thread = threading.Thread(target=lambda: seen.append((dist.is_initialized(), dist.get_world_size())))
        thread.start()
        thread.join()
        assert seen == [(True, 1)]
    finally:
        dist.destroy_process_group()
    assert not dist.is_initialized()


def test_a_rank_that_is_a_thread_does_not_see_it():
    dist.init_process_group()
    try:
        assert run_local(lambda group: dist.is_initialized(), 2) == [False, False]
    finally:
        dist.destroy_process_group()
