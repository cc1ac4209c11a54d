"""What is said where the launcher's MPI is not the ranks', and what other MPIs than MPICH need."""

import os
import socket
import subprocess
import sys

import pytest

from distrt.comm.mpi.pmi import PmiServer
from tests.comm.test_pmi import Board
from tests.multiprocess.mpi_ranks import MPIEXEC, PRELUDE, clean_variables, mpi_ranks

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")


def run(program, *before, **variables):
    command = [*map(str, before), sys.executable, "-W", "error", "-c", PRELUDE + program]
    return subprocess.run(
        command, env=clean_variables(variables), capture_output=True, text=True, timeout=60, check=False
    )


def test_ranks_of_open_mpis_launcher_are_told_that_theirs_is_another_mpi():
    variables = {"OMPI_COMM_WORLD_RANK": 1, "OMPI_COMM_WORLD_SIZE": 2}
    program = "store_through_mpi(read_environment(), 5.0)"
    result = run(program, PMIX_RANK=1, PMIX_NAMESPACE="job", **variables)
    assert result.returncode == 1, result
    assert "Open MPI says that this job has 2 ranks, but MPI (MPICH" in result.stderr
    assert "is the mpiexec that started them of that MPI?" in result.stderr


def test_ranks_that_mpich_cannot_reach_are_told_which_mpi_they_have():
    program = """
import mpi4py; mpi4py.rc.initialize = False
from mpi4py import MPI
kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("PMI_")}
MPI.Init_thread()
os.environ.update(kept)
store_through_mpi(read_environment(), 5.0)
"""
    result = run(program, MPIEXEC, "-n", "2")
    assert result.returncode != 0
    assert "PMI says that this job has 2 ranks, but MPI (MPICH" in result.stderr, result


def test_ranks_among_pmixs_variables_start_an_mpi_that_does_not_speak_it():
    program = """
os.environ |= {"PMIX_RANK": os.environ["DISTRT_RANK"], "PMIX_NAMESPACE": "job", "SLURM_NTASKS": "2"}
print(begin().size)
"""
    with mpi_ranks(2, program, machines=[0, 1]) as started:
        assert started.output() == ["2\n", "2\n"]


@pytest.mark.parametrize("asks_early", [True, False], ids=["Intel MPI", "MPICH"])
def test_the_last_word_is_answered_once_whenever_it_is_said(asks_early):
    server = PmiServer(0, 1, Board(), "job")
    with socket.socket(fileno=os.dup(server.client_fd)) as client:
        client.settimeout(5.0)
        server.seal()
        if asks_early:
            client.sendall(b"cmd=finalize\n")
            assert client.recv(100) == b"cmd=finalize_ack rc=0\n"
        server.farewell()
        client.sendall(b"cmd=finalize\n")
        if not asks_early:
            assert client.recv(100) == b"cmd=finalize_ack rc=0\n"
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(100)


@pytest.mark.ci
def test_the_wheel_of_mpich_says_that_it_takes_no_memory_of_gpus():
    program = """
from distrt.comm.mpi import cuda_aware
import ctypes
world = begin()
library = ctypes.CDLL(world.mpi.__file__)
print(world.takes_gpu_memory, cuda_aware.ask(library, world.mpi.Get_library_version()).why)
print(cuda_aware._variable(library, "MPIR_CVAR_ENABLE_GPU"), cuda_aware._variable(library, "opal_cuda_support"))
"""
    with mpi_ranks(2, program, machines=[0, 1]) as started:
        assert started.output() == ["False MPIX_GPU_query_support says no\nFalse None\n"] * 2
