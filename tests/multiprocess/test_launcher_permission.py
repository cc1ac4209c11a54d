"""What the system denies a launcher: files that it may not write, processes that it may not start, a clock that jumps.

Root may write everywhere, so these launchers run without root's privilege to pass over permissions.
"""

import os
import textwrap
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

#: Before a command: root's privileges to read and write in spite of permissions are gone, for it and its children.
BOUND = (
    ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    if os.geteuid() == 0
    else ()
)


def one_line(run: RankRun) -> str:
    assert "Traceback" not in run.stderr and "started" not in run.stdout, run
    (line,) = [line for line in run.stderr.splitlines() if line.startswith("distrt-launch: ")]
    return line


@pytest.mark.ci
@pytest.mark.parametrize("what", ["folder", "parent", "script"])
def test_what_may_not_be_read_or_written_is_named(start_job: StartJob, tmp_path: Path, what: str) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    script = tmp_path / "secret.py"
    script.write_text("print('started')")
    options = {
        "folder": ["--log-dir", str(closed)],
        "parent": ["--log-dir", str(closed / "runs")],
        "script": [],
    }
    closed.chmod(0o555)
    script.chmod(0o000 if what == "script" else 0o600)
    run = start_job(script, 2, launcher_args=options[what], prefix=BOUND).finish()
    closed.chmod(0o755)
    if what == "script":
        assert run.exit_code == 66 and one_line(run).endswith(f"the script {script} cannot be read"), run
    else:
        assert run.exit_code == 73, run
        assert f"no run directory can be made in {options[what][1]} (Permission denied)" in one_line(run)
    assert run.duration_s < PROMPT_S and not list(closed.iterdir())


@contextmanager
def processes_group(limit: int) -> Iterator[Path]:
    """Make a control group with so many processes and threads; needs root and a writable hierarchy."""
    first = Path("/sys/fs/cgroup/pids")
    folder = (first if first.is_dir() else first.parent) / f"distrt-test-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
        (folder / "pids.max").write_text(str(limit))
    except OSError as error:
        with suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group for processes can be made here ({error})")
    try:
        yield folder
    finally:
        folder.rmdir()


def within(group: Path) -> tuple[str, ...]:
    return "sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"


@pytest.mark.ci
@pytest.mark.parametrize(("limit", "named"), [(1, "the guard of the ranks"), (4, "rank 1")])
def test_a_machine_that_starts_no_more_processes_is_said_to(
    start_job: StartJob, limit: int, named: str
) -> None:
    with processes_group(limit) as group:
        run = start_job("print('started')", 8, prefix=within(group)).finish()
    assert run.exit_code == 70 and "cannot be started (Resource temporarily unavailable)" in run.stderr, run
    line = one_line(run) if limit == 1 else run.stderr.splitlines()[-1]
    assert "rank" in line and "pids.max" in line and "Traceback" not in run.stderr
    assert named == "rank 1" or named in line


@pytest.mark.ci
def test_a_rank_that_starts_processes_without_end_ends_with_all_of_them(start_job: StartJob) -> None:
    text = """
        import os, time
        if os.environ["RANK"] == "1":
            while True:
                if os.fork() == 0:
                    time.sleep(600)
        time.sleep(600)
    """
    with processes_group(60) as group:
        run = start_job(textwrap.dedent(text), 2, prefix=within(group)).finish()
    assert run.exit_code == 1 and run.duration_s < PROMPT_S, run
    assert "rank 1 (pid" in run.stderr and "BlockingIOError: [Errno 11]" in run.stderr


JUMPING = """
import itertools, time
_now, _now_ns, _jumps = time.time, time.time_ns, itertools.cycle((0, 3600, -3600))
time.time = lambda: _now() + next(_jumps)
time.time_ns = lambda: _now_ns() + next(_jumps) * 10**9
"""


@pytest.mark.ci
def test_a_clock_that_jumps_ends_no_wait(start_job: StartJob, tmp_path: Path) -> None:
    """Of the launcher and of its ranks: an hour on, an hour back, at every look."""
    folder = tmp_path / "clock"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(JUMPING)
    text = """
        import time
        import distrt as torch
        import distrt.distributed as dist
        assert abs(time.time() - time.time()) > 3000
        dist.init_process_group("gloo")
        for _ in range(20):
            time.sleep(0.1 * dist.get_rank())
            dist.all_reduce(torch.ones(3))
        dist.destroy_process_group()
    """
    path = os.pathsep.join([str(folder), str(Path(__file__).resolve().parents[2])])
    options = ["--hang-timeout", "30", "--max-restarts", "1"]
    run = start_job(textwrap.dedent(text), 2, env={"PYTHONPATH": path}, launcher_args=options).finish()
    assert run.exit_code == 0 and "restart" not in run.stderr, run
