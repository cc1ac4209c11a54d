"""Ranks on several (simulated) machines over real MPI: every collective, bit for bit as in one process; and deaths."""

import ast
import functools
import os
import signal
import time

import pytest

from distrt.comm.local import run_local
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.multiprocess.mpi_ranks import mpi_ranks

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")

SEED = int(os.environ.get("DISTRT_TEST_SEED", "0"))

JOIN = """
import numpy as np
from distrt.comm.mpi import MpiTransport
from distrt.comm.process_group import ProcessGroup, ReduceOp
def join(timeout_s=60.0):
    environment = read_environment()
    store = connect_store(environment, timeout_s)
    transport = MpiTransport.connect(environment, eval(os.environ["TEST_MACHINES"]), store, "group/0", timeout_s)
    return ProcessGroup(transport, timeout_s)
"""

CONFORMANCE = (
    JOIN
    + """
from tests.conformance.cases import COLLECTIVES, run_all, sample
group = join()
amount = None if sys.argv[2] == "None" else int(sys.argv[2])
print({name: run_all(group, sample(name, int(sys.argv[1]), amount)) for name in COLLECTIVES})
group.barrier()
group.close()
"""
)

PLACEMENTS = {
    "1+1": [0, 1],
    "2+1": [0, 0, 1],
    "2+2": [0, 0, 1, 1],
    "round robin": [0, 1, 0, 1],
    "1+1+1": [0, 1, 2],
    "3+2": [0, 0, 0, 1, 1],
    "2+2+1": [0, 0, 1, 1, 2],
}


@functools.cache
def reference(size, amount):
    return run_local(
        lambda group: {name: run_all(group, sample(name, SEED, amount)) for name in COLLECTIVES}, size
    )[0]


@functools.cache
def digests(placement, amount):
    machines = PLACEMENTS[placement]
    with mpi_ranks(len(machines), CONFORMANCE, str(SEED), str(amount), machines=machines) as started:
        return [ast.literal_eval(text) for text in started.output(timeout_s=110 if amount else 3000)]


@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_sample_of_cases_is_right_and_bit_equal_wherever_the_ranks_are(placement, collective):
    per_rank = [each[collective] for each in digests(placement, 8)]
    assert all(each == per_rank[0] for each in per_rank), f"ranks differ (seed {SEED})"
    expected = reference(len(PLACEMENTS[placement]), 8)[collective]
    assert per_rank[0] == expected, f"mpi and local differ (seed {SEED})"
