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
    ("size", "what"),
    [
        (2, "nothing_crosses"),
        (2, "order"),
        (3, "late_sums"),
        pytest.param(2, "late_sums", marks=pytest.mark.slow),
        (3, "memory"),
        pytest.param(2, "memory", marks=pytest.mark.slow),
        (3, "replaced"),
        (2, "messages"),
        (2, "refusals"),
        (2, "mismatch broadcast"),
        (2, "mismatch all_reduce"),
        (2, "disagreeing"),
    ],
)
def test_arrays_go_from_gpu_to_gpu(size, what):
    assert _said(size, "cuda_aware", *what.split()).count("right") == size


@pytest.mark.ci
@pytest.mark.parametrize(
    ("size", "amount", "kind"),
    [
        (3, 5, ""),
        (3, 5, "pieces"),
        pytest.param(2, 100, "", marks=pytest.mark.slow),
        pytest.param(2, 60, "pieces", marks=pytest.mark.slow),
        pytest.param(3, 60, "pieces", marks=pytest.mark.slow),
        pytest.param(4, 100, "", marks=pytest.mark.slow),
        pytest.param(4, 60, "pieces", marks=pytest.mark.slow),
    ],
)
def test_cases_are_right_bit_equal_on_all_ranks_and_never_staged(size, amount, kind):
    said = _said(size, "cuda_aware", "collectives", "0", str(amount), kind)
    digests = [ast.literal_eval(line) for line in said.splitlines() if line.startswith("{")]
    reference = run_local(
        lambda group: {name: run_all(group, sample(name, 0, amount)) for name in COLLECTIVES}, size
    )
    assert digests == reference


@pytest.mark.ci
@pytest.mark.parametrize("operation", ["all_gather", "all_reduce"])
def test_a_rank_that_dies_is_told_by_name(operation):
    assert f"PeerFailed rank 0: {operation} #3: rank 1 died" in _said(2, "cuda_aware", "death", operation)


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["all_gather", "all_reduce"])
def test_a_rank_that_does_not_come_is_told_by_name(operation):
    said = _said(2, "cuda_aware", "lateness", operation)
    assert f"CollectiveTimeout rank 0: {operation} #3: waited 3 s for rank 1" in said


@pytest.mark.slow
@pytest.mark.parametrize(("program", "ways"), [("ddp", 14), ("sharded", 19)])
@pytest.mark.parametrize("size", [2, 3])
def test_training_gives_what_the_cpu_gives(program, ways, size):
    assert _said(size, program, "mpi").count(f"0 of {ways} ways differ") == size


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_reproducible_training_has_the_bits_of_one_rank(size):
    assert _said(size, "reproducible", "mpi").count("bits") == 3 * size
