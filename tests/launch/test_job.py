"""What a job shows of itself."""

from pathlib import Path

from launch.job import Job, rank_environment


def test_the_jobs_secret_is_given_to_its_ranks_and_is_in_no_text() -> None:
    secret = "5ec2e7" * 8
    job = Job("script", "train.py", (), 2, 1, "run", Path("runs/run"), "127.0.0.1", 29500, secret)
    assert rank_environment(job, 1, {})["DISTRT_JOB_SECRET"] == secret
    assert "train.py" in repr(job) and secret not in repr(job) and secret not in str(job)
