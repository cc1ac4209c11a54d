"""Training under ``srun``, with and without MPI's process manager, on one node and on two."""

import pytest

from tests.slurm.conftest import PYTHON, TRAIN, WAITING

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")

WAYS = {"PMI-2": "--mpi=pmi2", "Slurm's variables": ""}
PLACES = {"one node": "--nodes=1 --ntasks=4", "two nodes": "--nodes=2 --ntasks-per-node=2"}


def check(results, size, nodes):
    """The ranks are Slurm's, have reduced what they should, and hold the same parameters."""
    assert [seen["rank"] for seen in results] == list(range(size))
    assert {seen["world_size"] for seen in results} == {size}
    everybody = [[rank, str(rank), nodes[rank]] for rank in range(size)]
    for seen in results:
        assert seen["total"] == [size * (size + 1) / 2] * 5
        assert seen["everybody"] == everybody
        assert seen["parameters"] == results[0]["parameters"]
    assert len({tuple(seen["losses"]) for seen in results}) == size  # each had data of its own


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_four_tasks_of_one_node_train_together(slurm, way):
    results = slurm.train(f"{way} {PLACES['one node']}")
    check(results, 4, ["node1"] * 4)
    assert {seen["transport"] for seen in results} == {"shm"}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_two_tasks_on_each_of_two_nodes_train_together(slurm, way):
    results = slurm.train(f"{way} {PLACES['two nodes']}")
    check(results, 4, ["node1", "node1", "node2", "node2"])
    assert {seen["transport"] for seen in results} == {"tcp"}


def test_tasks_among_pmixs_variables_train_with_an_mpi_that_does_not_speak_it(slurm):
    """Many clusters start every task so, whether its MPI understands it or not."""
    run = slurm.run(
        f"mkdir results; srun {PLACES['two nodes']} bash -c "
        f"'PMIX_RANK=$SLURM_PROCID PMIX_NAMESPACE=slurm.pmix.1.0 exec {PYTHON} {TRAIN} results'"
    )
    assert run.exit_code == 0 and not run.stderr, run
    check(slurm.results(), 4, ["node1", "node1", "node2", "node2"])


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_script_that_asks_for_the_store_alone_gets_it(slurm, way):
    program = """
import time
import distrt.distributed as dist
store, rank, size = next(dist.rendezvous("env://"))
store.set(f"hello-{rank}", str(rank))
assert [store.get(f"hello-{other}") for other in range(size)] == [b"0", b"1", b"2", b"3"]
store.set(f"bye-{rank}", "")
if rank == 0:  # it serves the others
    store.wait([f"bye-{other}" for other in range(size)])
    time.sleep(0.5)  # the last one has its answer
"""
    run = slurm.run(f"srun {way} {PLACES['two nodes']} {slurm.script(program)}")
    assert run.exit_code == 0 and not run.stderr, run


def test_the_parameters_are_the_same_wherever_the_tasks_run(slurm):
    placements = {
        "one": PLACES["one node"],
        "two": PLACES["two nodes"],
        "uneven": "--nodes=2 --ntasks=4 --distribution=plane=3",
        "cyclic": "--nodes=2 --ntasks-per-node=2 --distribution=cyclic",
    }
    found = [slurm.train(f"--mpi=pmi2 {options}", name=name) for name, options in placements.items()]
    check(found[2], 4, ["node1", "node1", "node1", "node2"])
    check(found[3], 4, ["node1", "node2", "node1", "node2"])
    for results in found[1:]:
        assert results[0]["parameters"] == found[0][0]["parameters"]


def test_a_script_is_a_world_of_one_where_srun_did_not_start_it(slurm):
    for name, command in {
        "in an allocation": f"salloc --quiet --ntasks=4 {PYTHON} {TRAIN}",
        "as one task": f"srun --ntasks=1 {PYTHON} {TRAIN}",
        "as one task with PMI-2": f"srun --mpi=pmi2 --ntasks=1 {PYTHON} {TRAIN}",
    }.items():
        folder = name.replace(" ", "-")
        run = slurm.run(f"mkdir {folder}; {command} {folder}")
        assert run.exit_code == 0 and not run.stderr, (name, run)
        (seen,) = slurm.results(folder)
        assert (seen["world_size"], seen["total"], seen["transport"]) == (1, [1.0] * 5, "solo"), name


def test_a_batch_script_trains_by_srun_and_alone(slurm):
    (slurm.folder / "job.sh").write_text(f"""#!/bin/bash
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=2
#SBATCH --output=output.txt
set -e
mkdir alone plain pmi2 address
{PYTHON} {TRAIN} alone
srun {PYTHON} {TRAIN} plain
srun --mpi=pmi2 {PYTHON} {TRAIN} pmi2
export MASTER_ADDR=127.0.0.1 MASTER_PORT=18765
srun {PYTHON} {TRAIN} address
""")
    run = slurm.run("sbatch --wait job.sh")
    output = WAITING.sub("", (slurm.folder / "output.txt").read_text())
    assert run.exit_code == 0 and not output, f"{run}\n{output}"
    assert [seen["world_size"] for seen in slurm.results("alone")] == [1]
    for name in ("plain", "pmi2", "address"):
        check(slurm.results(name), 4, ["node1", "node1", "node2", "node2"])
    assert slurm.results("address")[3]["master_addr"] == "127.0.0.1"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_two_steps_at_once_in_one_allocation_do_not_meet(slurm, way):
    step = f"srun {way} --exact --nodes=2 --ntasks=2 {PYTHON} {TRAIN}"
    run = slurm.run(
        f"mkdir first second; salloc --quiet --nodes=2 --ntasks-per-node=2 bash -c "
        f"'{step} first & a=$!; {step} second & b=$!; wait $a && wait $b'"
    )
    assert run.exit_code == 0 and not run.stderr, run
    for name in ("first", "second"):
        check(slurm.results(name), 2, ["node1", "node2"])


def test_two_jobs_at_once_on_one_node_do_not_meet(slurm):
    job = f"srun --nodelist=node1 --ntasks=2 {PYTHON} {TRAIN}"
    run = slurm.run(f"mkdir first second; {job} first & a=$!; {job} second & b=$!; wait $a && wait $b")
    assert run.exit_code == 0 and not run.stderr, run
    for name in ("first", "second"):
        check(slurm.results(name), 2, ["node1", "node1"])
