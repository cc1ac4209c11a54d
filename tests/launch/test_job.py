"""What a job shows of itself, and what its ranks are told."""

from dataclasses import replace
from pathlib import Path

from launch.job import Job, Target, World, rank_environment

SECRET = "5ec2e7" * 8
JOB = Job(Target("script", "train.py"), 2, 1, "run", Path("runs/run"))
WORLD = World(1, 4, 6, 2, 3, "10.0.0.1", 29500, SECRET)


def test_the_jobs_secret_is_given_to_its_ranks_and_is_in_no_text() -> None:
    assert rank_environment(JOB, WORLD, 1, {})["DISTRT_JOB_SECRET"] == SECRET
    text = f"{JOB!r} {JOB} {WORLD!r} {WORLD}"
    assert "train.py" in text and "10.0.0.1" in text and SECRET not in text


def test_a_rank_on_the_third_machine_has_its_place() -> None:
    seen = rank_environment(replace(JOB, max_restarts=3, role="trainer", user_id="job7"), WORLD, 1, {})
    expected = {
        "RANK": "5",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "6",
        "LOCAL_WORLD_SIZE": "2",
        "GROUP_RANK": "2",
        "GROUP_WORLD_SIZE": "3",
        "ROLE_RANK": "5",
        "ROLE_NAME": "trainer",
        "MASTER_ADDR": "10.0.0.1",
        "MASTER_PORT": "29500",
        "DISTRT_STORE_ADDR": "10.0.0.1:29500",
        "TORCHELASTIC_RUN_ID": "job7",
        "TORCHELASTIC_RESTART_COUNT": "1",
        "TORCHELASTIC_MAX_RESTARTS": "3",
        "TORCHELASTIC_ERROR_FILE": "runs/run/attempt_1/5/error.json",
    }
    assert {name: seen.get(name) for name in expected} == expected


def test_the_users_own_thread_counts_and_error_handling_win() -> None:
    given = {"OPENBLAS_NUM_THREADS": "7", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "3"}
    seen = rank_environment(JOB, WORLD, 0, given)
    assert seen["OPENBLAS_NUM_THREADS"] == "7" and seen["OMP_NUM_THREADS"] == "1"
    assert seen["TORCH_NCCL_ASYNC_ERROR_HANDLING"] == "3"


def test_a_rank_with_a_virtual_place_sees_its_own_gpu_only() -> None:
    job = replace(JOB, has_virtual_local_rank=True)
    seen = rank_environment(job, WORLD, 1, {"CUDA_VISIBLE_DEVICES": "3, 5"})
    assert (seen["LOCAL_RANK"], seen["CUDA_VISIBLE_DEVICES"], seen["RANK"]) == ("0", "5", "5")
    assert seen["DISTRT_LOCAL_RANK"] == "1"
    assert rank_environment(job, WORLD, 1, {})["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_rank_finds_its_number_in_its_arguments() -> None:
    target = Target("script", "t.py", ("--file=${local_rank}.log", "$$HOME", "plain"))
    assert target.arguments_of(3) == ("--file=3.log", "$$HOME", "plain")
