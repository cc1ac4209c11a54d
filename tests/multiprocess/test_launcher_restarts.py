"""``--max-restarts``: the job is started again, as a new world, and nothing of the former one gets in."""

import json
import signal
import statistics
import textwrap
from collections.abc import Callable

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

FAIL_FIRST = """
    import json, os, sys, time
    attempt, rank = os.environ["TORCHELASTIC_RESTART_COUNT"], os.environ["RANK"]
    print("attempt", attempt)
    names = ("DISTRT_JOB_SECRET", "MASTER_PORT", "TORCHELASTIC_MAX_RESTARTS", "DISTRT_RUN_DIR")
    with open(f"new-{attempt}-{rank}", "w") as file:
        json.dump([os.environ[name] for name in names], file)
    os.rename(f"new-{attempt}-{rank}", f"seen-{attempt}-{rank}")
    if attempt == "0" and rank == "1":
        while not os.path.exists("seen-0-0"):  # its sibling's end comes with this one's
            time.sleep(0.01)
        raise ValueError("the first attempt")
    if attempt == "0":
        time.sleep(60)
"""


def test_a_failed_job_is_started_again_as_a_new_world(run_ranks: RunRanks) -> None:
    run = run_ranks(textwrap.dedent(FAIL_FIRST), 2, launcher_args=["--max-restarts", "3"])
    assert run.exit_code == 0 and run.run_dir is not None, run
    assert "restart 1 of 3" in run.stderr and "restart 2" not in run.stderr
    assert run.stderr.count("ValueError: the first attempt") == 1
    folder = run.run_dir.parent.parent
    seen = {
        (attempt, rank): json.loads((folder / f"seen-{attempt}-{rank}").read_text())
        for attempt in range(2)
        for rank in range(2)
    }
    assert seen[0, 0] == seen[0, 1] and seen[1, 0] == seen[1, 1]
    assert seen[0, 0][0] != seen[1, 0][0] and seen[0, 0][2:] == seen[1, 0][2:] == ["3", str(run.run_dir)]
    for attempt in range(2):
        kept = run.run_dir / f"attempt_{attempt}" / "0" / "stdout.log"
        assert kept.read_text() == f"attempt {attempt}\n"
    result = json.loads((run.run_dir / "result.json").read_text())
    assert (result["exit_code"], result["restarts"]) == (0, 1)
    assert result["attempts"][0]["first_failure"]["error"] == "ValueError: the first attempt"


def test_a_job_that_always_fails_ends_with_its_last_failure(run_ranks: RunRanks) -> None:
    text = "import os, sys; sys.exit(3 + int(os.environ['TORCHELASTIC_RESTART_COUNT']))"
    run = run_ranks(text, 1, launcher_args=["--max-restarts", "2"])
    assert run.exit_code == 5 and run.duration_s < PROMPT_S
    assert run.stderr.count("failed: exit code") == 3 and "restart 2 of 2" in run.stderr


@pytest.mark.ci
def test_a_signal_ends_a_job_that_waits_to_be_started_again(start_job: StartJob) -> None:
    job = start_job("import sys; sys.exit(3)", 1, launcher_args=["--max-restarts", "50"])

    def waits() -> bool:
        run_dir = job.run_dir()
        return run_dir is not None and (run_dir / "attempt_3").exists()

    job.wait_for(waits, timeout_s=PROMPT_S)
    job.process.send_signal(signal.SIGTERM)
    run = job.finish()
    assert run.exit_code == 143 and "stopped by SIGTERM" in run.stderr


ALL_REDUCE = """
    import os, signal, time
    import distrt as torch
    import distrt.distributed as dist
    dist.init_process_group("gloo")
    rank, attempt = dist.get_rank(), os.environ["TORCHELASTIC_RESTART_COUNT"]
    ones = torch.ones(3)
    dist.all_reduce(ones)
    print("sum", float(ones[0]), flush=True)
    dist.barrier()  # both have printed
    if attempt == "0" and rank == 1:
        print("killed", time.time(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    dist.barrier()
    dist.destroy_process_group()
"""


def run_and_restart(run_ranks: RunRanks) -> float:
    """Run a job of which a rank is killed; seconds from the kill to the start of new ranks."""
    run = run_ranks(textwrap.dedent(ALL_REDUCE), 2, launcher_args=["--max-restarts", "1"])
    assert run.exit_code == 0 and run.run_dir is not None, run
    assert [line.split()[1] for line in run.lines(0)] == ["2.0", "2.0"]
    (killed_at,) = [float(line.split()[1]) for line in run.lines(1) if line.startswith("killed")]
    events = map(json.loads, (run.run_dir / "events.jsonl").read_text().splitlines())
    began_at = [event["time"] for event in events if event["event"] == "attempt_began"]
    return float(began_at[1]) - killed_at


def test_a_restarted_job_sums_again(run_ranks: RunRanks) -> None:
    assert run_and_restart(run_ranks) < PROMPT_S


@pytest.mark.slow
@pytest.mark.alone
def test_new_ranks_start_soon_after_one_has_died(run_ranks: RunRanks) -> None:
    """The rest of a restart is the script's: imports, and the meeting of the ranks."""
    assert statistics.median(run_and_restart(run_ranks) for _ in range(5)) < 0.5
