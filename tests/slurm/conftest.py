"""Real jobs on the throw-away Slurm that ``scripts/slurm-test`` starts: ``slurm`` runs them, and proves their end."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.ranks import end_all, start
from tests.multiprocess.mpi_ranks import clean_variables

DIRECTORY = os.environ.get("DISTRT_TEST_SLURM")
TRAIN = Path(__file__).with_name("train.py")
#: What srun says while the job or the step before is just ending.
WAITING = re.compile(
    r"^srun: (job \d+ (queued and waiting for|has been allocated) resources"
    r"|Job \d+ step creation (temporarily disabled, retrying|still disabled, retrying).*|Step created for .*)\n",
    re.MULTILINE,
)
#: The states of nodes that are up.
TAKING = {"idle", "mixed", "allocated", "completing"}
PYTHON = f"{shlex.quote(sys.executable)} -W error"


@dataclass
class Run:
    """A command that has ended."""

    exit_code: int
    stdout: str
    stderr: str
    duration_s: float

    def __str__(self) -> str:
        return f"exit code {self.exit_code} after {self.duration_s:.1f} s\n{self.stdout}\n{self.stderr}"


class Slurm:
    """The Slurm under test; ``folder`` is where commands run, and where `TRAIN` leaves its files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, command: str, *, timeout_s: float = 60.0, variables: Mapping[str, object] = {}) -> Run:
        """Run a shell command, such as ``srun -n 4 python train.py``, to its end."""
        began = time.monotonic()
        process = start(
            ["bash", "-c", f"cd {shlex.quote(str(self.folder))}; {command}"], self._all(variables)
        )
        try:
            out, err = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.cancel_all()
            end_all([process])
            pytest.fail(f"did not end within {timeout_s} s: {command}")
        err = WAITING.sub("", err)
        return Run(process.returncode, out, err, time.monotonic() - began)

    def train(self, options: str, *, name: str = "results", **more: Any) -> list[dict[str, Any]]:
        """What each rank has seen of a training run that ``srun`` started."""
        run = self.run(f"mkdir -p {name}; srun {options} {PYTHON} {TRAIN} {name}", **more)
        assert run.exit_code == 0 and not run.stderr, run
        return self.results(name)

    def results(self, name: str = "results") -> list[dict[str, Any]]:
        """What each rank of a training run has written to the folder ``name``."""
        found = [json.loads(file.read_text()) for file in (self.folder / name).glob("*.json")]
        return sorted(found, key=lambda seen: seen["rank"])

    def script(self, text: str, name: str = "script.py") -> str:
        """Write a program, and return the command that runs it."""
        (self.folder / name).write_text(text)
        return f"{PYTHON} {name}"

    def cancel_all(self) -> None:
        self.command("scancel", "--user", str(os.getuid()))

    def jobs(self) -> str:
        return self.command("squeue", "--noheader")

    def wait_for_nodes(self) -> None:
        """Until every node takes jobs."""
        deadline = time.monotonic() + 30
        while not set(self.command("sinfo", "--noheader", "--Node", "--format=%T").split()) <= TAKING:
            assert time.monotonic() < deadline, self.command("sinfo", "--Node", "--long")
            time.sleep(0.1)

    def command(self, *command: str) -> str:
        """Run one of Slurm's commands, and return what it says."""
        done = subprocess.run(
            command, env=self._all({}), capture_output=True, text=True, timeout=20, check=True
        )
        return done.stdout

    def _all(self, variables: Mapping[str, object]) -> dict[str, str]:
        ours = {"SLURM_CONF": f"{DIRECTORY}/slurm.conf", "PYTHONFAULTHANDLER": 1}
        return clean_variables({**ours, **variables})


@pytest.fixture
def slurm(tmp_path: Path) -> Iterator[Slurm]:
    """The Slurm that ``scripts/slurm-test`` has started, with no job on it before the test and after it."""
    if DIRECTORY is None:
        pytest.skip("needs a throw-away Slurm: run scripts/slurm-test")
    found = Slurm(tmp_path)
    shared_memory = set(os.listdir("/dev/shm"))
    yield found
    deadline = time.monotonic() + 20
    while left := found.jobs():
        if time.monotonic() > deadline:
            found.cancel_all()
            pytest.fail(f"jobs are left:\n{left}")
        time.sleep(0.05)
    while left := {name for name in set(os.listdir("/dev/shm")) - shared_memory if "mpich" in name}:
        assert time.monotonic() < deadline, f"left in /dev/shm: {left}"
        time.sleep(0.05)
