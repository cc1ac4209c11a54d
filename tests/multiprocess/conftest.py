"""Real jobs for tests: ``run_ranks`` starts one through the launcher and proves that nothing of it is left."""

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conformance.ranks import Serving, ranks

ROOT = Path(__file__).resolve().parents[2]
MARKER = "DISTRT_TEST_MARKER"
#: A job that ends within this was told to end: a time-out would have taken a minute or more. How fast it is on a quiet
#: machine is measured, and stands in docs/evidence.md; here other tests share the cores.
PROMPT_S = 20.0


@dataclass
class RankRun:
    """A finished job. ``run_dir`` is the job's run directory, None where the launcher made none."""

    exit_code: int
    stdout: str
    stderr: str
    duration_s: float
    run_dir: Path | None
    ended_at: float  # time.monotonic(), which all processes of a machine share

    def lines(self, rank: int) -> list[str]:
        """Return what one rank of several wrote to stdout, without the prefix."""
        prefix = f"[{rank}] "
        return [line.removeprefix(prefix) for line in self.stdout.splitlines() if line.startswith(prefix)]

    def digest(self) -> str:
        """Return what a rank of a job that ended well printed after "digest"."""
        assert self.exit_code == 0, self
        return next(line for line in self.stdout.splitlines() if "digest" in line).partition("digest ")[2]

    def __str__(self) -> str:
        return f"exit code {self.exit_code} after {self.duration_s:.2f} s\n{self.stdout}\n{self.stderr}"


@dataclass
class Job:
    """A running job, and the means to look at it and to prove that it is gone."""

    process: subprocess.Popen[bytes]
    marker: str
    run_base: Path
    shared_memory_before: frozenset[str]
    started_at: float = field(default_factory=time.monotonic)

    def finish(self, timeout_s: float = 60.0) -> RankRun:
        """Wait for the launcher's end and prove that nothing is left of the job."""
        try:
            stdout, stderr = self.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            stdout, stderr = self.process.communicate()
            pytest.fail(f"the job did not end within {timeout_s} s\n{_text(stdout)}\n{_text(stderr)}")
        ended_at = time.monotonic()
        duration_s = ended_at - self.started_at
        run = RankRun(
            self.process.returncode, _text(stdout), _text(stderr), duration_s, self.run_dir(), ended_at
        )
        self.assert_nothing_left(wait_s=0.0, context=str(run))
        return run

    def run_dir(self) -> Path | None:
        return next(iter(sorted(self.run_base.glob("*-*-*"))), None)

    def pids(self) -> dict[int, str]:
        """Return the living processes of this job and their command lines."""
        return {pid: line for pid, line in _marked_processes(self.marker).items() if pid != self.process.pid}

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Poll until ``condition`` holds."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                self.kill()
                stdout, stderr = self.process.communicate()
                pytest.fail(f"condition not reached in {timeout_s} s\n{_text(stdout)}\n{_text(stderr)}")
            time.sleep(0.005)

    def kill_a_rank(self, script: Path, chance: random.Random) -> bool:
        """Kill one of the processes that run ``script`` with SIGKILL; False if there is none any more."""
        ranks = [pid for pid, line in self.pids().items() if script.stem in line]
        if ranks:
            os.kill(chance.choice(ranks), signal.SIGKILL)
        return bool(ranks)

    def assert_nothing_left(self, wait_s: float, context: str = "") -> None:
        """Fail if a process or a ``/dev/shm`` entry of the job outlives the launcher by ``wait_s``."""
        deadline = time.monotonic() + wait_s
        while (left := self.pids()) and time.monotonic() < deadline:
            time.sleep(0.01)
        if left:
            self.kill()
        assert not left, f"processes of the job are left: {left}\n{context}"
        leaks = leaked_shared_memory(self.shared_memory_before, patience_s=1.0)
        assert not leaks, f"entries are left in /dev/shm: {leaks}\n{context}"

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start_job(tmp_path: Path) -> Iterator[Callable[..., Job]]:
    """Start a job without waiting for it: ``start_job(script, nproc=2, args=(), env={}, launcher_args=())``.

    ``script`` is a path, or a script's text (then it becomes ``script.py`` in ``tmp_path``, the working
    directory).
    """
    jobs: list[Job] = []

    def start(
        script: str | Path,
        nproc: int | str = 2,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        launcher_args: Sequence[str] = (),
        stdin: int | None = subprocess.DEVNULL,
        stdout: int | None = subprocess.PIPE,
        prefix: Sequence[str] = (),
    ) -> Job:
        if isinstance(script, str):
            path = tmp_path / "script.py"
            path.write_text(script)
            script = path
        marker = uuid.uuid4().hex
        run_base = tmp_path / f"runs-{marker[:8]}"
        command = [sys.executable, "-m", "launch", "--nproc-per-node", str(nproc), "--run-dir", str(run_base)]
        before = shared_memory()
        process = subprocess.Popen(
            [*prefix, *command, *launcher_args, str(script), *args],
            cwd=tmp_path,
            env=clean_environment(marker, env),
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
        )
        jobs.append(Job(process, marker, run_base, before))
        return jobs[-1]

    yield start
    for job in jobs:
        job.kill()
        job.process.communicate()


@pytest.fixture
def run_ranks(start_job: Callable[..., Job]) -> Callable[..., RankRun]:
    """Run a job to its end; takes ``start_job``'s arguments and ``timeout_s``, and proves that nothing is left."""

    def run(
        script: str | Path, nproc: int | str = 2, *, timeout_s: float = 60.0, **options: object
    ) -> RankRun:
        return start_job(script, nproc, **options).finish(timeout_s)

    return run


@pytest.fixture(scope="session", params=["tcp", pytest.param("mpi", marks=pytest.mark.ci)])
def network(request: pytest.FixtureRequest) -> str:
    """What connects machines."""
    if request.param == "mpi":
        pytest.importorskip("mpi4py", reason="needs distrt[mpi]")
    return str(request.param)


@pytest.fixture(scope="session")
def two_by_two(network: str) -> Iterator[Serving]:
    """Two ranks on each of two simulated machines, which run the programs of many tests; ``group`` is their world."""
    from tests.multiprocess.mpi_ranks import mpi_ranks

    serving = Serving(
        lambda program: mpi_ranks(4, program, machines=[0, 0, 1, 1], reads_stdin=True, network=network)
    )
    yield serving
    serving.close()


@pytest.fixture(scope="session")
def pair() -> Iterator[Serving]:
    """Two ranks in shared memory, which run the programs of many tests; ``group`` is their world."""
    serving = Serving(lambda program: ranks(2, program, reads_stdin=True))
    yield serving
    serving.close()


def clean_environment(marker: str, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return this process's environment without another launcher's variables, with the repository importable."""
    foreign = re.compile(
        r"(DISTRT|TORCHELASTIC|OMP|MKL|OPENBLAS|NUMBA|GROUP|ROLE|MASTER|LOCAL)_|(RANK|WORLD_SIZE)$"
    )
    environment = {name: value for name, value in os.environ.items() if not foreign.match(name)}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    no_gpu = {"CUDA_VISIBLE_DEVICES": ""}  # ranks on GPUs are tests/gpu's
    return {**environment, **no_gpu, "PYTHONPATH": path, MARKER: marker, **(extra or {})}


def _marked_processes(marker: str) -> dict[int, str]:
    """Find living processes by the marker in their environment; a zombie has none."""
    wanted = f"{MARKER}={marker}".encode()
    found = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = _text((folder / "cmdline").read_bytes().replace(b"\0", b" "))
        except OSError:
            continue
    return found


def shared_memory() -> frozenset[str]:
    """The entries of ``/dev/shm``, but for those of `test_test_run.py` and of emulated GPUs."""
    names = os.listdir("/dev/shm") if os.path.isdir("/dev/shm") else []
    return frozenset(name for name in names if not name.startswith(("distrt-leak-", "emulated-nccl-")))


def leaked_shared_memory(before: frozenset[str], patience_s: float) -> set[str]:
    """Return new entries that no living process maps; other tests' live segments come and go meanwhile."""
    deadline = time.monotonic() + patience_s
    while leaks := _unmapped(shared_memory() - before):
        if time.monotonic() > deadline:
            return leaks
        time.sleep(0.05)
    return set()


def _unmapped(names: frozenset[str]) -> set[str]:
    if not names:
        return set()
    in_use = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                in_use |= set(re.findall(r"/dev/shm/(\S+)", (folder / "maps").read_text()))
            except OSError:
                continue
    return set(names) - in_use


def _text(data: bytes | None) -> str:
    return (data or b"").decode(errors="replace")
