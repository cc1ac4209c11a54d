"""An elastic job whose machines and ranks are lost, told to go, stopped and replaced at random, and its every step."""

import contextlib
import os
import random
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job
from tests.multiprocess.test_launcher_elastic import TRAIN, steps_in
from tests.ports import free_port

StartJob = Callable[..., Job]
TROUBLE_S = 25.0


class Crowd:
    """Launchers of one job, at most three at a time, of which two take part."""

    def __init__(self, start_job: StartJob, folder: Path, chance: random.Random) -> None:
        self._start_job = start_job
        self._folder = folder
        self._chance = chance
        self._addresses = ",".join(f"localhost:{free_port()}" for _ in range(3))
        self.jobs: list[Job] = []
        self.story: list[str] = []

    def come(self) -> None:
        if len(self.jobs) < 3:
            conf = "join_timeout=30,last_call_timeout=3,heartbeat_timeout=3"
            options = ["--nnodes=1:2", "--rdzv-backend=c10d", f"--rdzv-endpoint={self._addresses}"]
            options += ["--rdzv-conf", conf, "--max-restarts=50"]
            script, args = textwrap.dedent(TRAIN), [str(self._folder / "parts"), "0.3"]
            self.jobs.append(self._start_job(script, 2, args=args, launcher_args=options))

    def lose(self) -> None:
        if len(self.jobs) > 1:
            job = self._take()
            job.process.kill()
            job.process.communicate()
            job.assert_nothing_left(wait_s=PROMPT_S)

    def lose_all_but_one(self) -> None:
        while len(self.jobs) > 1:
            self.lose()

    def leave(self) -> None:
        if len(self.jobs) > 1:
            job = self._take()
            job.process.terminate()
            run = job.finish()
            assert run.exit_code in (0, 75, 143), (self.story, run)

    def kill_a_rank(self) -> None:
        self._chance.choice(self.jobs).kill_a_rank(Path("script.py"), self._chance)

    def stop_a_rank(self) -> None:
        pids = [pid for pid, line in self.jobs[0].pids().items() if "script.py" in line]
        with contextlib.suppress(ProcessLookupError, IndexError):
            pid = self._chance.choice(pids)
            os.kill(pid, signal.SIGSTOP)
            time.sleep(1.0)
            os.kill(pid, signal.SIGCONT)

    def trouble(self) -> None:
        actions = [self.come, self.come, self.come, self.lose, self.lose, self.leave, self.kill_a_rank]
        action = self._chance.choice([*actions, self.stop_a_rank, self.lose_all_but_one])
        self.story.append(action.__name__)
        action()

    def _take(self) -> Job:
        return self.jobs.pop(self._chance.randrange(len(self.jobs)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_to_machines_every_step_has_an_undisturbed_runs_bits(
    start_job: StartJob, tmp_path: Path, seed: int
) -> None:
    assert start_job(textwrap.dedent(TRAIN), 4, args=[str(tmp_path / "whole"), "0"]).finish().exit_code == 0
    whole = {step: checksum for step, _, checksum in steps_in(tmp_path / "whole.log")}
    chance = random.Random(seed)
    crowd = Crowd(start_job, tmp_path, chance)
    crowd.come()
    crowd.come()
    until = time.monotonic() + TROUBLE_S
    while time.monotonic() < until and all(job.process.poll() is None for job in crowd.jobs):
        time.sleep(chance.uniform(0.05, 2.5))
        crowd.trouble()
    runs = [job.finish() for job in crowd.jobs]
    assert [run.exit_code for run in runs] == [0] * len(runs), (crowd.story, runs)
    done = steps_in(tmp_path / "parts.log")
    assert {step for step, _, _ in done} == set(whole), (crowd.story, done)
    assert all(checksum == whole[step] for step, _, checksum in done), (crowd.story, done)
