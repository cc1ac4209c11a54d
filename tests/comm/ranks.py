"""Ranks as threads, each with its default group: what the tests of `distrt.distributed` run in."""

from distrt.comm import world
from distrt.comm.local import run_local


def run_ranks(fn, size, timeout_s=20.0):
    """What ``fn(rank)`` returns on each rank."""

    def run(group):
        world.set_default_group(group)
        try:
            return fn(group.rank())
        finally:
            world.set_default_group(None)

    return run_local(run, size, timeout_s)
