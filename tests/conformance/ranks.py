"""Real ranks for tests of the communication room: processes that meet in a store which the test hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from distrt.comm.environment import read_environment
from distrt.comm.process_group import ProcessGroup
from distrt.comm.stores.client import connect_store
from distrt.comm.stores.server import StoreServer
from distrt.comm.world import create_group

ROOT = Path(__file__).resolve().parents[2]
PRELUDE = """
import ctypes, os, signal, sys, time
ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG: a test run that is killed leaves no rank
import numpy as np
from tests.conformance.ranks import join
"""


def join(timeout_s: float = 60.0) -> ProcessGroup:
    """The group of the ranks that `ranks` started; called in each of them."""
    environment = read_environment()
    return create_group(environment, connect_store(environment, timeout_s), timeout_s)


class Ranks:
    def __init__(self, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes

    def output(self, timeout_s: float = 60.0) -> list[str]:
        """What each rank printed; all of them must end well."""
        results = self.results(timeout_s)
        for rank, (code, out, err) in enumerate(results):
            assert code == 0, f"rank {rank} ended with {code}\n{out}\n{err}\n{results}"
            assert not err, f"rank {rank} wrote to stderr:\n{err}"
        return [out for _, out, _ in results]

    def results(self, timeout_s: float = 60.0) -> list[tuple[int, str, str]]:
        """Each rank's exit code, stdout and stderr."""
        # All at once: a rank whose pipe is full waits, and others for it.
        with ThreadPoolExecutor(len(self.processes)) as readers:
            found = list(readers.map(lambda process: process.communicate(timeout=timeout_s), self.processes))
        return [(process.returncode, *texts) for process, texts in zip(self.processes, found, strict=True)]

    def line(self, rank: int) -> str:
        """The next line that a rank prints."""
        stdout = self.processes[rank].stdout
        assert stdout is not None
        return stdout.readline().strip()

    def tell(self, rank: int, line: str) -> None:
        """Give a rank that reads its standard input a line."""
        stdin = self.processes[rank].stdin
        assert stdin is not None
        stdin.write(line + "\n")
        stdin.flush()

    def why(self, rank: int) -> str:
        """What a rank that has ended printed to standard error."""
        stderr = self.processes[rank].stderr
        assert stderr is not None
        return f"rank {rank}: {stderr.read()}"

    def signal(self, rank: int, number: signal.Signals) -> None:
        self.processes[rank].send_signal(number)


#: Ranks that run one program after another: each line of standard input is one, and gives a line of what it printed
#: and what it raised. ``kept`` is for what shall outlast a program.
SERVE = """
import contextlib, io, json, traceback
from tests.conformance.ranks import join
group, kept = join(timeout_s=60), {}
for line in sys.stdin:
    said, raised = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(said):
            exec(json.loads(line), dict(globals()))
    except BaseException:
        raised = traceback.format_exc()
    print(json.dumps([said.getvalue(), raised]), flush=True)
"""


class Serving:
    """Ranks that are started once and run the programs of many tests: for programs that leave their group healthy.

    Starting ranks takes longer than most of what tests ask of them. After a failure they are started anew.
    """

    def __init__(self, begin: Callable[[str], AbstractContextManager[Ranks]]) -> None:
        self._begin = begin
        self._running = ExitStack()
        self._ranks: Ranks | None = None

    def output(self, program: str) -> list[str]:
        """What each rank printed; none may raise."""
        if self._ranks is None:
            self._ranks = self._running.enter_context(self._begin(SERVE))
        size = len(self._ranks.processes)
        for rank in range(size):
            self._ranks.tell(rank, json.dumps(program))
        found = []
        for rank in range(size):
            line = self._ranks.line(rank)
            said, raised = json.loads(line) if line else ("", "it has ended")
            if raised:
                raised += self.close()
            assert not raised, f"rank {rank}: {raised}\n{said}"
            found.append(said)
        return found

    def close(self) -> str:
        """End the ranks, and return what they wrote to standard error."""
        ended, self._ranks = self._ranks, None
        if ended is None:
            return ""
        for process in ended.processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        told = "\n".join(ended.why(rank) for rank in range(len(ended.processes)))
        self._running.close()
        return told


@contextmanager
def ranks(size: int, program: str, *arguments: str, reads_stdin: bool = False) -> Iterator[Ranks]:
    """Run ``program`` (Python source, after `PRELUDE`) in ``size`` processes; none of them outlives the block."""
    server = StoreServer("127.0.0.1", 0)
    processes = []
    try:
        for rank in range(size):
            place = {
                "DISTRT_RANK": rank,
                "DISTRT_WORLD_SIZE": size,
                "DISTRT_LOCAL_RANK": rank,
                "DISTRT_LOCAL_WORLD_SIZE": size,
                "DISTRT_STORE_ADDR": server.address,
                "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("DISTRT_TEST_PATH")])),
                "OMP_NUM_THREADS": 1,
                "OPENBLAS_NUM_THREADS": 1,
            }
            kept = {name: value for name, value in os.environ.items() if not name.startswith("DISTRT_JOB")}
            variables = kept | {name: str(value) for name, value in place.items()}
            command = [sys.executable, "-W", "error", "-c", PRELUDE + program, *arguments]
            processes.append(start(command, variables, reads_stdin))
        yield Ranks(processes)
    finally:
        end_all(processes)
        server.close()


def start(
    command: Sequence[str], variables: Mapping[str, str], reads_stdin: bool = False
) -> subprocess.Popen[str]:
    """A rank's process, in a session of its own."""
    return subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.PIPE if reads_stdin else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end_all(processes: Sequence[subprocess.Popen[str]]) -> None:
    """End each process with its group."""
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
