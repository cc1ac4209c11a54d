"""Ranks on simulated or separate machines: processes that share a store, or that mpiexec starts."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from distrt.comm.stores.server import StoreServer
from tests.conformance.ranks import Ranks, end_all, start
from tests.multiprocess.namespaces import Machine

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: a test run that is killed leaves no rank
from distrt.comm.environment import Environment, read_environment
from distrt.comm.stores.client import Store, connect_store
from distrt.comm.mpi.start import start_mpi
from distrt.comm.mpi.store import store_through_mpi
def begin(timeout_s=30.0):
    environment = read_environment()
    with connect_store(environment, timeout_s) as store:
        world = start_mpi(environment, store, timeout_s, eval(os.environ.get("TEST_MACHINES", "None")))
        world.comm.Barrier()  # rank 0 may host the store
        return world
"""
#: After `PRELUDE`: the rank joins its ``group``.
ON_MPI = """
from distrt.comm.world import create_group
environment = read_environment()
group = create_group(environment, connect_store(environment, 30.0), 30.0)
"""
MPIEXEC = Path(sys.executable).with_name("mpiexec")

#: Variables of whoever runs the tests that must not reach the ranks.
_FOREIGN = re.compile(r"(DISTRT|PMI|PMIX|HYDI|HYDRA|OMPI|SLURM|MASTER|LOCAL|GROUP)_|(RANK|WORLD_SIZE)$")


def clean_variables(extra: Mapping[str, object] = {}) -> dict[str, str]:
    """This process's variables without another launcher's, and what every rank needs."""
    kept = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {**kept, "PYTHONPATH": str(ROOT), **threads, **{name: str(value) for name, value in extra.items()}}


@contextmanager
def mpi_ranks(
    size: int,
    program: str,
    *arguments: str,
    machines: Sequence[object] | None = None,
    prefixes: Sequence[Sequence[str]] | None = None,
    master: str | None = None,
    reads_stdin: bool = False,
    variables: Mapping[str, object] = {},
    network: str = "mpi",
) -> Iterator[Ranks]:
    """Run ``program`` (Python source, after `PRELUDE`) in ``size`` processes that share a store.

    ``network`` is to connect machines. ``machines`` names the machine that each rank counts as being on; ``prefixes``
    is put before each rank's command.
    Rank 0 hosts the store at the address ``master``, if there is one; else the test does.
    """
    secret = os.urandom(16)
    server = StoreServer("127.0.0.1", 0, secret=secret)
    processes = []
    machines = machines or [0] * size
    try:
        for rank in range(size):
            local = [other for other in range(size) if machines[other] == machines[rank]]
            place = {
                "DISTRT_RANK": rank,
                "DISTRT_WORLD_SIZE": size,
                "DISTRT_LOCAL_RANK": local.index(rank),
                "DISTRT_LOCAL_WORLD_SIZE": len(local),
                **(
                    {"MASTER_ADDR": master, "MASTER_PORT": 29417}
                    if master
                    else {"DISTRT_STORE_ADDR": server.address}
                ),
                "DISTRT_JOB_SECRET": secret.hex(),
                "DISTRT_MACHINE": f"machine {machines[rank]}",
                "DISTRT_NETWORK": network,
                "TEST_MACHINES": list(machines),
            }
            command = [sys.executable, "-W", "error", "-c", PRELUDE + program, *arguments]
            processes.append(
                start(
                    [*(prefixes[rank] if prefixes else ()), *command],
                    clean_variables(place | dict(variables)),
                    reads_stdin,
                )
            )
        yield Ranks(processes)
    finally:
        end_all(processes)
        server.close()


@contextmanager
def mpiexec(
    size: int,
    program: str,
    *arguments: str,
    options: Sequence[str] = (),
    variables: Mapping[str, object] = {},
) -> Iterator[Ranks]:
    """Run ``program`` under mpiexec, which is the one process that is waited for."""
    command = [str(MPIEXEC), *options, "-n", str(size)]
    command += [sys.executable, "-W", "error", "-c", PRELUDE + program, *arguments]
    process = start(command, clean_variables(variables))
    try:
        yield Ranks([process])
    finally:
        end_all([process])


def ranks_between(
    machines: Sequence[Machine],
    program: str,
    reads_stdin: bool = False,
    variables: Mapping[str, object] = {},
    network: str = "mpi",
) -> AbstractContextManager[Ranks]:
    """Two ranks on each of the machines; rank 0 hosts the store."""
    return mpi_ranks(
        4,
        program,
        machines=[0, 0, 1, 1],
        prefixes=[machines[rank // 2].prefix for rank in range(4)],
        master=machines[0].address,
        reads_stdin=reads_stdin,
        variables={"MPIR_CVAR_CH4_NETMOD": "ofi", **variables},
        network=network,
    )
