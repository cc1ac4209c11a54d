"""Ranks whose MPI is given the memory of GPUs: real MPI, on the fake of CuPy.

Device addresses of the fake are none of the CPU's, so that who reads there unasked ends by SIGSEGV; the checks tell MPI
where the memory is, as an MPI that is CUDA-aware finds out by itself. Nothing of a GPU is shown.
"""

from __future__ import annotations

import ast

import pytest

from distrt.comm.local import run_local
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.gpu.fixtures import run_check

pytest.importorskip("mpi4py", reason="needs distrt[mpi]")


def _said(size: int, *arguments: str) -> str:
    ended = run_check("mpi", str(size), *arguments)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.ci
@pytest.mark.parametrize(
    "what", ["nothing_crosses", "order", "messages", "refusals", "mismatch", "disagreeing"]
)
def test_what_is_only_moved_goes_from_gpu_to_gpu(what):
    assert _said(2, "cuda_aware", what).count("right") == 2


@pytest.mark.ci
@pytest.mark.parametrize(("size", "amount"), [(3, 5), pytest.param(4, 100, marks=pytest.mark.slow)])
def test_cases_are_right_bit_equal_on_all_ranks_and_staged_only_where_something_is_computed(size, amount):
    said = _said(size, "cuda_aware", "collectives", "0", str(amount))
    digests = [ast.literal_eval(line) for line in said.splitlines() if line.startswith("{")]
    reference = run_local(
        lambda group: {name: run_all(group, sample(name, 0, amount)) for name in COLLECTIVES}, size
    )
    assert digests == reference


@pytest.mark.ci
def test_a_rank_that_dies_is_told_by_name():
    assert "PeerFailed rank 0: all_gather #3: rank 1 died" in _said(2, "cuda_aware", "death")


@pytest.mark.slow
def test_a_rank_that_does_not_come_is_told_by_name():
    said = _said(2, "cuda_aware", "lateness")
    assert "CollectiveTimeout rank 0: all_gather #3: waited 3 s for rank 1" in said


@pytest.mark.slow
@pytest.mark.parametrize(("program", "ways"), [("ddp", 14), ("sharded", 19)])
def test_training_gives_what_the_cpu_gives(program, ways):
    assert _said(2, program, "mpi").count(f"0 of {ways} ways differ") == 2
