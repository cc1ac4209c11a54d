"""What goes wrong under ``srun``: nobody hangs, and the message names the fix."""

import time

import pytest

from tests.slurm.test_srun import WAYS

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")

PLACES = {"one node": "--nodes=1 --ntasks=3", "two nodes": "--nodes=2 --ntasks=3"}
BEGIN = """
import os, signal, sys, time
import distrt as torch
import distrt.distributed as dist
dist.init_process_group()
rank = dist.get_rank()
"""
SURVIVE = (
    BEGIN
    + """
dist.barrier()
if rank == 1:
    os.kill(os.getpid(), signal.SIGKILL)
began = time.monotonic()
try:
    while True:
        dist.all_reduce(torch.ones(4))
except RuntimeError as error:
    print(f"rank {rank} knows after {time.monotonic() - began:.0f} s: {error}", flush=True)
    raise SystemExit(3)
"""
)


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_when_a_task_is_killed_the_others_are_told_and_the_step_ends(slurm, way, place):
    run = slurm.run(f"srun {way} {place} {slurm.script(SURVIVE)}")
    assert run.exit_code not in (0, None), run
    assert "task 1: Killed" in run.stderr, run
    lines = sorted(line for line in run.stdout.splitlines() if line.startswith("rank"))
    assert [line[:12] for line in lines] == ["rank 0 knows", "rank 2 knows"], run
    assert all("rank 1" in line[12:] for line in lines), run


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_when_a_task_raises_the_others_are_told_and_the_step_ends(slurm, way):
    program = SURVIVE.replace("os.kill(os.getpid(), signal.SIGKILL)", "raise ZeroDivisionError('mine')")
    run = slurm.run(f"srun {way} {PLACES['two nodes']} {slurm.script(program)}")
    assert run.exit_code not in (0, None) and "ZeroDivisionError: mine" in run.stderr, run
    assert run.stdout.count("knows after") == 2, run


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_task_that_dies_before_the_ranks_meet_ends_the_step_where_srun_is_told_to(slurm, way):
    program = "import os\nif os.environ['SLURM_PROCID'] == '1': os._exit(7)" + BEGIN
    began = time.monotonic()
    run = slurm.run(f"srun --kill-on-bad-exit=1 {way} {PLACES['two nodes']} {slurm.script(program)}")
    assert run.exit_code != 0 and "task 1: Exited with exit code 7" in run.stderr, run
    assert time.monotonic() - began < 30, run


def test_a_script_that_started_mpi_alone_in_each_task_is_told_how_to_start(slurm):
    program = "from mpi4py import MPI\nassert MPI.COMM_WORLD.Get_size() == 1\n" + BEGIN
    run = slurm.run(f"srun {PLACES['two nodes']} {slurm.script(program)}")
    assert run.exit_code == 1, run
    assert run.stderr.count("3 ranks, but MPI (MPICH") == run.stderr.count(") knows of 1;") == 3, run
    assert "`srun --mpi=pmi2`" in run.stderr, run


def test_a_script_that_started_mpi_alone_needs_none_on_one_machine(slurm):
    program = "from mpi4py import MPI\nassert MPI.COMM_WORLD.Get_size() == 1\n" + BEGIN
    program += "t = torch.ones(2)\ndist.all_reduce(t)\nprint(t.tolist())"
    run = slurm.run(f"srun {PLACES['one node']} {slurm.script(program)}")
    assert run.exit_code == 0 and run.stdout == "[3.0, 3.0]\n" * 3, run


def test_a_batch_script_that_gives_every_task_one_rank_is_told_what_to_export(slurm):
    run = slurm.run(f"RANK=0 WORLD_SIZE=3 srun {PLACES['one node']} {slurm.script(BEGIN)}")
    assert run.exit_code == 1, run
    assert "torchrun says rank 0 of 3, Slurm says rank 1 of 3" in run.stderr, run
    assert "export RANK=$SLURM_PROCID WORLD_SIZE=$SLURM_NTASKS" in run.stderr, run


def test_tasks_that_must_meet_over_a_network_are_told_that_they_need_a_secret(slurm):
    program = "import os\nos.environ['SLURM_STEP_NODELIST'] = '192.0.2.7'" + BEGIN
    run = slurm.run(f"srun {PLACES['two nodes']} {slurm.script(program)}")
    assert run.exit_code == 1, run
    assert run.stderr.count("3 tasks on several machines meet at 192.0.2.7, and need a secret") == 3, run
    assert "`srun --mpi=pmi2`" in run.stderr and "export DISTRT_JOB_SECRET=" in run.stderr, run


def test_a_port_that_is_taken_is_named(slurm):
    program = """
import os, socket
if os.environ["SLURM_PROCID"] == "0":
    from distrt.comm import slurm
    taken = socket.socket()
    taken.bind(slurm.meeting_point(os.environ, 2, 2))
    taken.listen()
""" + BEGIN.replace(
        "init_process_group()", "init_process_group(timeout=__import__('datetime').timedelta(seconds=3))"
    )
    run = slurm.run(f"srun --ntasks=2 {slurm.script(program)}")
    assert run.exit_code == 1, run
    assert "rank 0 cannot host the store at 127.0.0.1:" in run.stderr and "MASTER_PORT" in run.stderr, run


def test_the_group_can_be_left_and_joined_again(slurm):
    program = (
        BEGIN
        + """
for attempt in range(3):
    t = torch.full((2,), float(attempt))
    dist.all_reduce(t)
    assert t.tolist() == [3.0 * attempt] * 2, t
    dist.destroy_process_group()
    dist.init_process_group()
print(rank)
"""
    )
    for way in WAYS.values():
        for place in PLACES.values():
            run = slurm.run(f"srun {way} {place} {slurm.script(program)}")
            assert run.exit_code == 0 and not run.stderr, (way, place, run)
            assert sorted(run.stdout.split()) == ["0", "1", "2"], (way, place, run)
