"""``--hang-timeout`` on real jobs."""

import json
import textwrap
from collections.abc import Callable

import pytest

from tests.multiprocess.conftest import PROMPT_S, RankRun

RunRanks = Callable[..., RankRun]

HANG = """
    import os, signal, time
    import distrt as torch
    import distrt.distributed as dist
    dist.init_process_group("gloo")
    ones = torch.ones(3)
    dist.all_reduce(ones)
    def evaluate():
        while True: pass
    if dist.get_rank() == 1 and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        print("stuck", time.monotonic(), flush=True)
        {action}
    dist.all_reduce(ones)
    dist.destroy_process_group()
"""


def hang(run_ranks: RunRanks, action: str, *options: str) -> RankRun:
    text = textwrap.dedent(HANG).replace("{action}", action)
    return run_ranks(text, 2, launcher_args=["--hang-timeout", "4", *options])


@pytest.mark.ci
def test_a_rank_in_an_endless_loop_is_named_with_its_stack(run_ranks: RunRanks) -> None:
    run = hang(run_ranks, "evaluate()")
    assert run.exit_code == 71 and run.run_dir is not None, run
    assert run.ended_at - float(run.lines(1)[0].split()[1]) < PROMPT_S
    assert "rank 1 (pid" in run.stderr and "its last was all_reduce(SUM, float32, 3 elements)" in run.stderr
    assert "in evaluate" in run.stderr and "rank 0 is in all_reduce" in run.stderr
    result = json.loads((run.run_dir / "result.json").read_text())
    assert (result["exit_code"], result["hung"]) == (71, [1])
    assert "rank 0 (pid" in (run.run_dir / "attempt_0" / "hang.txt").read_text()


@pytest.mark.slow
def test_a_stopped_rank_is_named_and_the_job_started_again(run_ranks: RunRanks) -> None:
    run = hang(run_ranks, "os.kill(os.getpid(), signal.SIGSTOP)", "--max-restarts", "1")
    assert run.exit_code == 0, run
    assert "rank 1 (pid" in run.stderr and "is stopped by a signal" in run.stderr
    assert "restart 1 of 1" in run.stderr


@pytest.mark.slow
@pytest.mark.alone
def test_a_hung_rank_is_named_within_the_timeout_and_two_seconds(run_ranks: RunRanks) -> None:
    run = hang(run_ranks, "time.sleep(60)")
    stuck_at = float(run.lines(1)[0].split()[1])
    assert run.exit_code == 71 and run.ended_at - stuck_at < 6.0
