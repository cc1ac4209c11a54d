"""Ranks that exchange through NCCL, on a fake of it (``tests/gpu/fake/cupy/cuda/nccl``) whose ranks are processes.

It shows that NCCL is asked in its own terms, that streams wait for what they need, and that what goes wrong is told. It
shows nothing of a GPU: what has run on one is told by ``scripts/gpu-check``, and by docs/gpu.md.
"""

from __future__ import annotations

import ast
import functools

import pytest

from distrt.comm.local import run_local
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.gpu.fixtures import run_check

NCCL = "cpu:gloo,cuda:nccl"


def _said(*arguments: str, devices: int = 4) -> str:
    ended = run_check("nccl", *arguments, variables={"FAKE_CUDA_DEVICES": str(devices)})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@functools.cache
def _digests(size: int, backend: str, amount: int, kind: str = "") -> list[dict[str, list[str]]]:
    said = _said(str(size), "collectives", backend, "0", str(amount), kind)
    return [ast.literal_eval(line) for line in said.splitlines() if line.startswith("{")]


@pytest.mark.ci
@pytest.mark.parametrize("collective", COLLECTIVES)
@pytest.mark.parametrize(("size", "backend"), [(2, NCCL), (3, NCCL), (2, "gloo")])
def test_a_sample_of_cases_is_right_and_bit_equal_on_all_ranks(size, backend, collective):
    per_rank = [each[collective] for each in _digests(size, backend, 6)]
    assert len(per_rank) == size
    assert all(each == per_rank[0] for each in per_rank)


@pytest.mark.ci
@pytest.mark.parametrize("collective", ["all_reduce"])
def test_deterministic_reductions_have_the_bits_of_the_reference(collective):
    reference = run_local(lambda group: run_all(group, sample(collective, 0, 12)), 3)
    assert [each[collective] for each in _digests(3, NCCL, 12, "deterministic")] == reference


@pytest.mark.ci
def test_a_rank_that_is_alone_needs_no_nccl():
    assert f"{len(COLLECTIVES)} collectives are right" in _said("1", "alone")


@pytest.mark.ci
def test_several_ranks_without_nccl_are_told_what_to_install():
    assert _said("2", "unequipped").count("told") == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "deterministic"])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_many_cases_are_right(size, kind):
    assert len(_digests(size, NCCL, 150, kind)) == size


@pytest.mark.ci
@pytest.mark.parametrize("backend", [NCCL, "gloo"])
def test_data_parallel_training_gives_what_the_cpu_gives(backend):
    said = _said("2", "ddp", backend)
    assert said.count("0 of 14 ways differ") == 2


@pytest.mark.slow
@pytest.mark.parametrize(("size", "backend"), [(2, NCCL), (3, NCCL), (2, "gloo")])
def test_sharded_models_train_as_on_the_cpu_in_the_memory_of_parts(size, backend):
    said = _said(str(size), "sharded", backend)
    assert said.count("0 of 19 ways differ") == size


@pytest.mark.ci
@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_reproducible_training_has_the_bits_of_one_rank(size):
    assert _said(str(size), "reproducible").count("bits") == 3 * size


@pytest.mark.ci
def test_a_sharded_model_trains_as_on_the_cpu():
    said = _said("2", "sharded", NCCL, "plain")
    assert said.count("0 of 1 ways differ") == 2


@pytest.mark.ci
def test_two_ranks_share_a_gpu():
    said = _said("2", "collectives", NCCL, "0", "1", "", devices=1)
    assert "0 failed" in said


@pytest.mark.ci
def test_a_rank_that_dies_is_told_by_name():
    said = _said("2", "faults", "death")
    assert "PeerFailed rank 0: all_reduce #2: rank 1 (process" in said
    assert "died" in said
    assert "closed" in said


@pytest.mark.slow
def test_a_rank_that_does_not_come_is_told_by_name():
    said = _said("2", "faults", "lateness")
    assert "CollectiveTimeout rank 0: all_reduce #2: waited 3 s for rank 1" in said
    assert "closed" in said


@pytest.mark.ci
def test_calls_that_differ_are_told_on_all_ranks():
    said = _said("2", "faults", "mismatch")
    assert said.count("rank 1: all_reduce(SUM, float32, 5 elements) at faults.py") == 2
    assert said.count("CollectiveMismatch") == 2
    assert said.count("closed") == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("cupy.cuda.nccl.NcclCommunicator(2, (0,) * 128, 0)", "expected bytes, got tuple"),
        ("cupy.cuda.nccl.NcclCommunicator(1, bytes(128), 1)", "NCCL_ERROR_INVALID_ARGUMENT"),
        (
            f"{'nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)'}.allReduce(1, 1, 1, 99, 0, 0)",
            "INVALID_ARGUMENT",
        ),
        (
            f"{'nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)'}.allReduce(4096, 4096, 1, 7, 0, 0)",
            "UNHANDLED_CUDA",
        ),
        (
            f"{'nccl.NcclCommunicator(1, nccl.get_unique_id(), 0)'}.allReduce(1 << 60, 1 << 60, 1, 7, 0, 3)",
            "no stream",
        ),
        ("nccl.groupEnd()", "NCCL_ERROR_INVALID_USAGE"),
    ],
)
def test_the_fake_refuses_what_nccl_refuses(code, words):
    assert (
        words
        in run_check(
            "line", code.replace("cupy.cuda.nccl", "nccl").replace("nccl.", "cupy.cuda.nccl.")
        ).stdout
    )


@pytest.mark.ci
@pytest.mark.parametrize("what", ["detail", "blocking", "refusals", "waiting", "aborting"])
def test_what_users_switch_and_what_a_group_refuses(what):
    assert _said("2", "switches", what).count("right") == 2


@pytest.mark.slow
def test_a_program_that_does_not_ask_about_a_failure_is_ended():
    ended = run_check("nccl", "2", "switches", "unasked")
    assert "rank 0 ended with 1" in ended.stdout, ended.stdout + ended.stderr
    assert "The program has not asked about it in 10 s: ending the process" in ended.stdout
