"""What a launcher finds around it: full disks, taken ports, closed files, terminals, floods."""

import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.multiprocess.conftest import PROMPT_S, Job, RankRun

RunRanks = Callable[..., RankRun]
StartJob = Callable[..., Job]

READY = "import os, time\nopen('ready' + os.environ['RANK'], 'w').close()\n"
STUCK = READY + "while True: time.sleep(0.05)\n"


def wait_until_ready(job: Job, world_size: int) -> None:
    marks = [job.run_base.parent / f"ready{rank}" for rank in range(world_size)]
    job.wait_for(lambda: all(mark.exists() for mark in marks))


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of that size, which needs root."""
    folder.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.ci
def test_a_full_disk_loses_output_and_not_the_job(start_job: StartJob, tmp_path: Path) -> None:
    text = "for _ in range(300): print('x' * 9999)\nprint('end')"
    with small_disk(tmp_path / "disk", "256k") as disk:
        run = start_job(text, 2, launcher_args=["--run-dir", str(disk)]).finish()
    assert run.exit_code == 0, run.stderr
    assert run.lines(0)[-1] == run.lines(1)[-1] == "end" and len(run.lines(0)) == 301
    assert "bytes of output could not be written to the files in" in run.stderr


def test_a_disk_that_is_full_from_the_start_is_said_to_be(start_job: StartJob, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        with suppress(OSError):
            (disk / "filling").write_bytes(bytes(1 << 20))
        run = start_job("print('started')", 2, launcher_args=["--run-dir", str(disk)]).finish()
    assert run.exit_code == 73, run
    (line,) = [line for line in run.stderr.splitlines() if "No space left on device" in line]
    assert str(disk) in line and "--run-dir" in line
    assert "started" not in run.stdout and "Traceback" not in run.stderr


@pytest.mark.ci
def test_the_second_job_at_a_port_is_refused_and_the_first_unharmed(start_job: StartJob) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    first = start_job(STUCK, 2, launcher_args=["--master-port", port])
    wait_until_ready(first, 2)
    second = start_job("print('started')", 2, launcher_args=["--master-port", port]).finish()
    assert second.exit_code == 69 and f"127.0.0.1:{port}" in second.stderr and not second.stdout, second
    first.process.send_signal(signal.SIGTERM)
    assert first.finish().exit_code == 143


@pytest.mark.slow
def test_a_port_can_be_used_again_at_once(run_ranks: RunRanks) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    for _ in range(20):
        run = run_ranks("pass", 1, launcher_args=["--master-port", port])
        assert run.exit_code == 0, run


def test_closed_files_and_poor_surroundings_are_no_hindrance(start_job: StartJob) -> None:
    poor = {"TERM": "dumb", "LANG": "C", "LC_ALL": "C", "HOME": "/nonexistent"}
    closed = ("sh", "-c", 'exec "$@" <&-', "sh")
    text = "import os, sys\nprint('\\u00e9', os.read(0, 9)) if os.environ['RANK'] == '0' else sys.exit()"
    run = start_job(text, 2, env=poor, prefix=closed).finish()
    assert run.exit_code == 0, run
    assert run.lines(0) == ["\u00e9 b''"] and "\x1b" not in run.stdout + run.stderr


@pytest.mark.parametrize("presses", [1, pytest.param(2, marks=pytest.mark.ci)])
def test_ctrl_c_on_a_terminal_ends_the_job_once_gently_and_twice_at_once(
    start_job: StartJob, presses: int
) -> None:
    """The terminal signals the launcher's process group, of which the ranks are none."""
    deaf = "import signal\nsignal.signal(signal.SIGINT, lambda *_: None)\n" if presses == 2 else ""
    outer, inner = pty.openpty()
    try:
        # setsid --ctty makes the terminal the launcher's own.
        job = start_job(deaf + STUCK, 2, stdin=inner, prefix=("setsid", "--ctty"))
        wait_until_ready(job, 2)
        pressed_at = time.monotonic()
        for _ in range(presses):
            os.write(outer, b"\x03")
            time.sleep(0.2)
        run = job.finish()
    finally:
        os.close(outer)
        os.close(inner)
    assert run.exit_code == 130, run
    assert run.ended_at - pressed_at < PROMPT_S
    assert "stopped by SIGINT" in run.stderr and "Traceback" not in run.stderr + run.stdout


START_FLOOD = """import os, sys, time
out = sys.stdout.buffer
if os.environ['RANK'] == '1':
    time.sleep(3)
    sys.exit(4)
"""
FLOOD = {
    "lines": "while True: out.write(b'%07d some output of a rank\\n' % 7 * 1000)",
    "no newline": "while True: out.write(b'x' * (10 << 20))",
    "bytes": "data = os.urandom(1 << 20)\nwhile True: out.write(data)",
    "progress": "while True: out.write(b'\\r 50%|#####     |' * 10000)",
}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("kind", FLOOD)
def test_a_flood_neither_fills_memory_nor_stops_the_end(start_job: StartJob, kind: str) -> None:
    text = START_FLOOD + FLOOD[kind]
    job = start_job(text, 2, stdout=subprocess.DEVNULL, launcher_args=["--log-cap-mib", "16"])
    peak_kib = 0
    while job.process.poll() is None:
        status = Path(f"/proc/{job.process.pid}/status").read_text()
        peak_kib = next(
            (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), peak_kib
        )
        time.sleep(0.05)
    run = job.finish()
    assert run.exit_code == 4 and run.run_dir is not None, run
    assert peak_kib < 100 << 10
    kept = sum(path.stat().st_size for path in run.run_dir.glob("attempt_0/0/stdout.log*"))
    assert 16 << 20 <= kept <= 34 << 20
    assert run.duration_s < PROMPT_S


@pytest.mark.slow
@pytest.mark.alone
def test_a_waiting_launcher_uses_next_to_no_time(start_job: StartJob) -> None:
    job = start_job(STUCK, 2)
    wait_until_ready(job, 2)
    time.sleep(0.5)

    def cpu_s() -> float:
        fields = Path(f"/proc/{job.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu_s()
    time.sleep(3.0)
    assert cpu_s() - before <= 0.03
    job.process.send_signal(signal.SIGTERM)
    job.finish()
