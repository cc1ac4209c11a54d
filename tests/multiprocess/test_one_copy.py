"""``allocate(..., copies=1)``: one piece of memory for all ranks of a machine, on every transport."""

from pathlib import Path

import numpy as np
import pytest

from distrt.comm.local import run_local
from distrt.comm.world import solo_group
from distrt.core.errors import DistributedError
from tests.conformance.ranks import Serving


def told(group):
    """What a rank sees of memory into which each has written its number; and what becomes of it."""
    mates = list(group.transport.mates)
    one = group.allocate((group.size(), 3), np.float32, copies=1)
    found = [one.shape == (group.size(), 3), one.dtype == np.float32, not one.any()]
    group.barrier()
    one[group.rank()] = group.rank() + 1
    group.barrier()
    found.append(one[:, 0].tolist() == [r + 1 if r in mates else 0 for r in range(group.size())])
    mine = one[group.rank()].copy()
    group.all_reduce(mine)  # for collectives it is memory as any other
    found.append(mine[0] == sum(range(1, group.size() + 1)))
    empty = group.allocate(0, np.int64, copies=1)
    found.append(empty.shape == (0,))
    try:
        group.allocate(1, np.int8, copies=2)
    except DistributedError as error:
        found.append("copies must be None or 1, got 2" in str(error))
    return found


@pytest.mark.parametrize("size", [1, 2, 3])
def test_threads_have_one_array(size):
    assert run_local(told, size) == [[True] * 7] * size


def test_one_rank_alone_has_it():
    assert told(solo_group()) == [True] * 7


PROGRAM = """
from tests.multiprocess.test_one_copy import told
print(all(told(group)), len(told(group)))
"""


def test_processes_have_one_memory(pair: Serving):
    assert pair.output(PROGRAM) == ["True 7\n"] * 2


@pytest.mark.slow
def test_every_machine_has_one(two_by_two: Serving):
    assert two_by_two.output(PROGRAM) == ["True 7\n"] * 4


RENEWED = """
import gc
from tests.multiprocess.test_one_copy import open_files
gc.collect()  # what other tests have left
before = open_files()
one = group.allocate(2000, np.float64, copies=1)
one[group.rank()] = 1.0
group.barrier()
if group.rank() == 1:
    kept = one[:2]
    one = group.renew(one)
    one[2] = 3.0
group.barrier()
if group.rank() == 0:
    one[0] = 2.0
group.barrier()
print(one[:3].tolist(), (one if group.rank() == 0 else kept).tolist()[:2], end=" ")
group.barrier()
kept = one = None
gc.collect()
print(open_files() - before)
"""


def open_files():
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_rank_that_renews_it_keeps_what_it_looked_at(pair: Serving):
    assert pair.output("import numpy as np\n" + RENEWED) == [
        "[2.0, 1.0, 3.0] [2.0, 1.0] 0\n",
        "[2.0, 1.0, 3.0] [1.0, 1.0] 0\n",
    ]
