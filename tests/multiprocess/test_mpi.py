"""Ranks on several (simulated) machines over real MPI: what it does otherwise than other networks."""

import signal

import pytest

from tests.multiprocess.mpi_ranks import mpi_ranks, mpiexec
from tests.multiprocess.test_machines import JOIN, LOOP, REPORT

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")


@pytest.mark.ci
def test_a_tag_that_mpi_cannot_carry_is_refused():
    program = """
for tag in (-1, 2**40):
    try:
        group.send(np.ones(1), (group.rank() + 2) % 4, tag=tag)
    except DistributedError as error:
        print("from 0 to" in str(error))
"""
    with mpi_ranks(4, JOIN + "group = join()" + program, machines=[0, 0, 1, 1]) as started:
        assert started.output() == ["True\nTrue\n"] * 4


def test_over_libfabric_a_killed_rank_ends_the_others_where_mpich_does_not_let_them_go_on():
    variables = {"MPIR_CVAR_CH4_NETMOD": "ofi"}
    with mpi_ranks(3, REPORT + LOOP, "60", machines=[0, 1, 2], variables=variables) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        started.signal(1, signal.SIGKILL)
        for rank, (code, out, err) in enumerate(started.results(10)):
            is_told = code == 0 and "PeerFailed" in out and "rank 1 " in out
            assert rank == 1 or is_told or (code != 0 and "OFI" in err), (code, out, err)


def test_under_mpiexec_a_script_needs_no_address():
    program = """
import distrt as torch, distrt.distributed as dist
dist.init_process_group("mpi")
tensor = torch.ones(1) * dist.get_rank()
dist.all_reduce(tensor)
os.write(1, f"{tensor.item()}\\n".encode())
"""
    with mpiexec(4, program) as started:
        assert started.output() == ["6.0\n" * 4]
