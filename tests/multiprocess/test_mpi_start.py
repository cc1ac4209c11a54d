"""How MPI starts and ends: through a store, under mpiexec, between network namespaces; and what deaths leave."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.multiprocess.conftest import PROMPT_S, leaked_shared_memory, shared_memory
from tests.multiprocess.mpi_ranks import PRELUDE, clean_variables, mpi_ranks, mpiexec, ranks_between
from tests.multiprocess.namespaces import needs_namespaces, two_machines

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")

pytestmark = pytest.mark.usefixtures("nothing_left")

REPORT = """
world = begin()
everybody = world.comm.allgather((world.rank, world.comm.Get_rank()))
assert everybody == [(rank, rank) for rank in range(world.size)], everybody
assert not any(name.startswith("PMI_") for name in os.environ) or "HYDI_CONTROL_FD" in os.environ
print("rank", world.rank, "of", world.size)
"""


@pytest.fixture(autouse=True)
def nothing_left():
    before = shared_memory()
    yield
    left = leaked_shared_memory(before, patience_s=2.0)
    assert not {name for name in left if "mpich" in name or "ucx" in name}


@pytest.mark.parametrize(
    "machines",
    [
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in ([0, 0], [0, 1], [0, 0, 0, 0], [0, 0, 1, 1])
        ),
        [0, 1, 0, 1],
    ],
    ids=str,
)
def test_ranks_that_share_a_store_start_mpi_together(machines):
    size = len(machines)
    with mpi_ranks(size, REPORT, machines=machines) as started:
        assert started.output() == [f"rank {rank} of {size}\n" for rank in range(size)]


def test_mpi_counts_simulated_machines_as_machines():
    program = """
world = begin()
node = world.comm.Split_type(world.mpi.COMM_TYPE_SHARED)
print(world.comm.group.Translate_ranks(list(range(world.size)), node.group).count(world.mpi.UNDEFINED))
"""
    with mpi_ranks(4, program, machines=[0, 0, 0, 1]) as started:
        assert started.output() == ["1\n", "1\n", "1\n", "3\n"]


@pytest.mark.slow
def test_large_messages_pass_between_simulated_machines_with_either_network_module():
    program = """
import numpy as np
world = begin()
mine, other = np.full(3_000_000, world.rank, np.float32), np.empty(3_000_000, np.float32)
world.comm.Sendrecv(mine, 3 - world.rank, recvbuf=other, source=3 - world.rank)
print((other == 3 - world.rank).all())
"""
    for network in ("ofi", "ucx"):
        with mpi_ranks(
            4, program, machines=[0, 0, 1, 1], variables={"MPIR_CVAR_CH4_NETMOD": network}
        ) as started:
            assert started.output() == ["True\n"] * 4


def test_a_script_that_has_imported_mpi4py_without_starting_it_is_served():
    program = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI\n" + REPORT
    with mpi_ranks(2, program) as started:
        assert started.output() == ["rank 0 of 2\n", "rank 1 of 2\n"]


def test_a_script_that_has_started_mpi_alone_is_told_what_to_do():
    program = "from mpi4py import MPI\nbegin()"
    with mpi_ranks(2, program) as started:
        for code, _, err in started.results():
            assert code == 1 and "RendezvousError" in err
            assert "call init_process_group before `from mpi4py import MPI`" in err


def test_mpi_that_runs_is_used_again():
    with mpi_ranks(2, "first = begin()\nassert begin() is first") as started:
        started.output()


def test_a_rank_that_does_not_come_is_named():
    program = """
if os.environ["DISTRT_RANK"] == "0":
    begin(timeout_s=1.0)
"""
    with mpi_ranks(2, program) as started:
        code, _, err = started.results()[0]
        assert code == 1 and "rank 0 waited 1.0 s" in err and "ready/1' of rank 1" in err


def test_threads_are_allowed_and_the_library_is_logged_once():
    program = """
import logging
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
world = begin()
assert world.mpi.Query_thread() == world.mpi.THREAD_MULTIPLE
begin()
"""
    with mpi_ranks(2, program) as started:
        for text in started.output():
            assert text.count("MPI: MPICH Version:") == 1


def test_without_mpi4py_the_error_says_what_to_install():
    program = """
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "mpi4py":
            raise ModuleNotFoundError("No module named 'mpi4py'")
sys.meta_path.insert(0, Missing())
begin()
"""
    with mpi_ranks(2, program) as started:
        for code, _, err in started.results():
            assert code == 1 and "UnsupportedError" in err and "pip install 'distrt[mpi]'" in err


# Under a process manager.

BOOTSTRAP = """
rank, size = int(os.environ["PMI_RANK"]), int(os.environ["PMI_SIZE"])
environment = Environment(rank, size, rank, size, source="mpiexec")
with store_through_mpi(environment, 30.0) as store:
    world = start_mpi(environment, store, 30.0)
    store.set(f"hello {world.rank}", str(world.rank))
    assert [store.get(f"hello {other}") for other in range(world.size)] == [b"0", b"1", b"2", b"3"]
    world.comm.Barrier()
"""


def test_under_mpiexec_the_ranks_find_their_store_through_mpi():
    program = (
        BOOTSTRAP + "assert store.address.startswith('127.0.0.1:')\nsys.stdout.write(f'rank {world.rank}\\n')"
    )
    with mpiexec(4, program) as started:
        assert sorted(started.output()[0].splitlines()) == [f"rank {rank}" for rank in range(4)]


def test_the_job_order_of_ranks_wins_over_mpi_s():
    program = """
rank = 1 - int(os.environ["PMI_RANK"])
environment = Environment(rank, 2, rank, 2, source="script")
with store_through_mpi(environment, 30.0) as store:
    sys.stdout.write(f"{start_mpi(environment, store, 30.0).rank == rank}\\n")
    start_mpi(environment, store, 30.0).comm.Barrier()
"""
    with mpiexec(2, program) as started:
        assert started.output() == ["True\nTrue\n"]


def test_under_mpiexec_a_script_may_leave_the_start_of_mpi_to_us():
    program = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI\n" + BOOTSTRAP
    with mpiexec(4, program) as started:
        started.output()


def test_a_rank_of_mpiexec_that_raises_ends_the_others():
    program = BOOTSTRAP + "if world.rank == 1: raise ZeroDivisionError('mine')\ntime.sleep(60)"
    with mpiexec(4, program) as started:
        began = time.monotonic()
        code, _, err = started.results(30)[0]
        assert code != 0 and "ZeroDivisionError: mine" in err and time.monotonic() - began < 25


def test_tasks_that_mpi_does_not_connect_are_told_how_to_start():
    program = "store_through_mpi(Environment(1, 4, 1, 4, source='Slurm'), 5.0)"
    command = [sys.executable, "-W", "error", "-c", PRELUDE + program]
    run = subprocess.run(
        command, env=clean_variables(), capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 1
    assert "this job has 4 ranks, but MPI (MPICH" in run.stderr and "knows of 1" in run.stderr
    assert "srun --mpi=pmi2" in run.stderr


# Deaths.


@pytest.mark.parametrize("machines", [[0, 0, 0], [0, 0, 1]], ids=["one machine", "two machines"])
def test_a_killed_rank_is_known_to_all_and_nobody_hangs_at_the_end(machines):
    program = """
world = begin()
print("ready", flush=True)
if world.rank == 1: time.sleep(60)
while world.lifeline.gone(1) is None: time.sleep(0.005)
print(world.lifeline.gone(1), time.time())
"""
    with mpi_ranks(3, program, machines=machines) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        killed_at = time.time()
        started.signal(1, signal.SIGKILL)
        for rank, (code, out, err) in enumerate(started.results(20)):
            if rank != 1:
                text, _, at = out.strip().rpartition(" ")
                assert (code, err, text) == (0, "", "rank 1 died, or its machine cannot be reached")
                assert float(at) - killed_at < PROMPT_S


@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_rank_is_known_even_when_a_forked_child_of_it_lives_on(killed):
    program = """
world = begin()
killed = int(sys.argv[1])
if world.rank == killed:
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        time.sleep(10)
        os._exit(0)
print("ready", flush=True)
while world.lifeline.gone(killed) is None: time.sleep(0.005)
print(world.lifeline.gone(killed))
"""
    with mpi_ranks(2, program, str(killed), machines=[0, 1]) as started:
        assert [started.line(rank) for rank in range(2)] == ["ready"] * 2
        started.signal(killed, signal.SIGKILL)
        began = time.monotonic()
        assert started.line(1 - killed) == f"rank {killed} died, or its machine cannot be reached"
        assert time.monotonic() - began < 2
        os.killpg(started.processes[killed].pid, signal.SIGKILL)  # the child


def test_the_end_of_rank_0_is_known_to_all():
    program = """
world = begin()
print("ready", flush=True)
while world.rank == 0 or world.lifeline.gone(0) is None: time.sleep(0.005)
print(world.lifeline.gone(0))
"""
    with mpi_ranks(3, program, machines=[0, 1, 1]) as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3
        started.signal(0, signal.SIGKILL)
        assert [out for _, out, _ in started.results(20)[1:]] == [
            "rank 0 died, or its machine cannot be reached\n"
        ] * 2


@pytest.mark.parametrize("failing", [0, 2])
def test_a_rank_that_ends_in_an_error_lets_the_others_end(failing):
    program = """
world = begin()
if world.rank == int(sys.argv[1]): raise ZeroDivisionError("mine")
"""
    with mpi_ranks(3, program, str(failing), machines=[0, 0, 1]) as started:
        results = started.results(20)
        assert [code for code, _, _ in results] == [int(rank == failing) for rank in range(3)]
        assert "ZeroDivisionError: mine" in results[failing][2]
        assert not any(err for rank, (_, _, err) in enumerate(results) if rank != failing)


@pytest.mark.ci
def test_ranks_may_end_at_different_times():
    program = "world = begin()\ntime.sleep(0.7 * world.rank)\nprint('end')"
    with mpi_ranks(3, program, machines=[0, 1, 1]) as started:
        assert started.output() == ["end\n"] * 3


def test_a_job_that_is_killed_leaves_no_shared_memory():
    with mpi_ranks(
        4, "begin()\nprint('ready', flush=True)\ntime.sleep(60)", machines=[0, 0, 1, 1]
    ) as started:
        assert [started.line(rank) for rank in range(4)] == ["ready"] * 4
        for rank in range(4):
            started.signal(rank, signal.SIGKILL)


# Between network namespaces: two machines as far as the network goes.


@needs_namespaces
def test_two_ranks_in_each_of_two_namespaces_talk_over_tcp():
    program = """
world = begin()
import numpy as np
def received():
    with open("/proc/net/dev") as file: lines = file.read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.strip().startswith("dv"))
before = received()
world.comm.Barrier()
mine, other = np.full(500_000, world.rank, np.float64), np.empty(500_000)
world.comm.Sendrecv(mine, 3 - world.rank, recvbuf=other, source=3 - world.rank)
assert (other == 3 - world.rank).all()
world.comm.Barrier()
print(received() - before > 4_000_000)
"""
    with two_machines() as machines, ranks_between(machines, program) as started:
        assert started.output() == ["True\n"] * 4


@pytest.mark.ci
@needs_namespaces
def test_between_machines_only_the_address_that_the_others_reach_is_bound():
    program = """
world = begin()
if world.rank == 0:
    port = f"{world.lifeline._hub.port:04X}"
    with open("/proc/net/tcp") as file: rows = [line.split() for line in file]
    print([row[1].split(":")[0] for row in rows if row[1].endswith(":" + port) and row[3] == "0A"])
"""
    with two_machines() as machines, ranks_between(machines, program) as started:
        assert started.output()[0] == "['01004D0A']\n"  # 10.77.0.1


@needs_namespaces
@pytest.mark.slow
def test_a_machine_whose_cable_is_cut_is_given_up():
    """Nobody answers and nobody says that the connection is closed: only probes find out."""
    program = """
from unittest import mock
mock.patch.multiple("distrt.comm.stores.door", _IDLE_S=1, _BETWEEN_S=1, _PROBES=2).start()
world = begin()
print("ready", flush=True)
far = 2 if world.rank < 2 else 0
while world.lifeline.gone(far) is None: time.sleep(0.01)
print(world.lifeline.gone(far))
"""
    with two_machines() as machines, ranks_between(machines, program) as started:
        assert [started.line(rank) for rank in range(4)] == ["ready"] * 4
        machines[1].cut()
        outputs = [out for _, out, _ in started.results(30)]
        assert outputs == [f"rank {far} died, or its machine cannot be reached\n" for far in (2, 2, 0, 0)]
