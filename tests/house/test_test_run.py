"""The test run itself: tiers, seeds, tests that run alone, and what a run may not leave behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run_pytest(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest on ``directory``/tests with this suite's conftest and settings."""
    for name in ("conftest.py", "oracles.py", "__init__.py"):
        (directory / "tests").mkdir(exist_ok=True)
        shutil.copy(ROOT / "tests" / name, directory / "tests")
    shutil.copy(ROOT / "pyproject.toml", directory)
    inherited = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "DISTRT_", "PYTHONPATH"))
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(
        command,
        cwd=directory,
        env=inherited | environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=100,
    )


def write_test(directory: Path, text: str, name: str = "test_it.py") -> None:
    (directory / "tests").mkdir(exist_ok=True)
    (directory / "tests" / name).write_text(text)


@pytest.mark.alone  # other tests check that /dev/shm stays as it was
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no /dev/shm")
def test_run_that_leaves_a_shared_segment_fails_and_names_it(tmp_path: Path) -> None:
    segment = Path("/dev/shm") / f"distrt-leak-{uuid.uuid4().hex}"
    write_test(tmp_path, f"def test_leaks():\n    open({str(segment)!r}, 'w').close()\n")
    try:
        result = run_pytest(tmp_path)
    finally:
        segment.unlink(missing_ok=True)
    assert result.returncode == 1
    assert f"FAILED this run left {segment} behind" in result.stdout


LEAVES_A_PROCESS = """
import subprocess, sys
def test_leaks():
    global child
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("pid", child.pid)
"""


def test_run_that_leaves_a_process_fails_and_names_it(tmp_path: Path) -> None:
    write_test(tmp_path, LEAVES_A_PROCESS)
    result = run_pytest(tmp_path, "-s")
    pid = re.search(r"pid (\d+)", result.stdout)
    assert pid is not None
    os.kill(int(pid[1]), signal.SIGKILL)
    assert result.returncode == 1
    assert re.search(rf"FAILED this run left process {pid[1]} \(.*time.sleep\(60\)", result.stdout)


def test_run_that_leaves_a_listening_socket_fails_and_says_where(tmp_path: Path) -> None:
    write_test(
        tmp_path,
        "import socket\ndef test_leaks():\n    global server\n    server = socket.create_server(('127.0.0.1', 0))\n",
    )
    result = run_pytest(tmp_path)
    assert result.returncode == 1
    assert "this process still listens at ['0100007F:" in result.stdout


def test_run_that_leaves_nothing_passes(tmp_path: Path) -> None:
    write_test(tmp_path, "def test_passes():\n    pass\n")
    assert run_pytest(tmp_path).returncode == 0


def test_slow_tests_run_in_the_full_tier_only(tmp_path: Path) -> None:
    write_test(
        tmp_path,
        "import pytest\n\n@pytest.mark.slow\ndef test_slow():\n    pass\n\ndef test_quick():\n    pass\n",
    )
    assert "1 passed, 1 deselected" in run_pytest(tmp_path).stdout
    assert "2 passed" in run_pytest(tmp_path, "--full").stdout


def test_seed_comes_from_the_environment_and_is_printed(tmp_path: Path) -> None:
    write_test(tmp_path, "def test_seed(seed, rng):\n    print('values', seed, rng.integers(1 << 30))\n")

    def values(run_seed: str) -> str:
        result = run_pytest(tmp_path, "-s", DISTRT_TEST_SEED=run_seed)
        assert f"DISTRT_TEST_SEED={run_seed}" in result.stdout
        return next(line for line in result.stdout.splitlines() if "values" in line)

    assert values("1") == values("1") != values("2")


def test_oracle_tests_without_pytorch_are_left_out_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "hide_torch.py").write_text("import sys\nsys.modules['torch'] = None\n")
    write_test(tmp_path, "def test_oracle(torch):\n    pass\n\ndef test_other():\n    pass\n")
    result = run_pytest(tmp_path, "-p", "hide_torch")
    assert "scripts/test --oracle installs it" in result.stdout
    assert "1 passed, 1 deselected" in result.stdout


def test_test_marked_alone_never_overlaps_another(tmp_path: Path) -> None:
    body = """
import time, pytest
from pathlib import Path

@pytest.mark.parametrize("i", range(6))
def test_shared(i):
    Path(f"busy-{i}").touch()
    time.sleep(0.1)
    Path(f"busy-{i}").unlink()

@pytest.mark.alone
@pytest.mark.parametrize("i", range(6))
def test_alone(i):
    assert list(Path().glob("busy-*")) == []
    Path(f"busy-alone-{i}").touch()
    time.sleep(0.1)
    Path(f"busy-alone-{i}").unlink()
"""
    write_test(tmp_path, body)
    result = run_pytest(tmp_path, "--numprocesses=2", "--dist=load")
    assert "12 passed" in result.stdout, result.stdout


def test_tests_that_start_ranks_share_one_worker(tmp_path: Path) -> None:
    body = """
import os, pytest

@pytest.mark.parametrize("i", range(6))
def test_ranks(i):
    open(f"worker-{os.environ['PYTEST_XDIST_WORKER']}", "a").close()
"""
    (tmp_path / "tests" / "multiprocess").mkdir(parents=True)
    write_test(tmp_path, body, "multiprocess/test_it.py")
    result = run_pytest(tmp_path, "--numprocesses=2", "--dist=loadgroup")
    assert "6 passed" in result.stdout, result.stdout
    assert len(list(tmp_path.glob("worker-*"))) == 1


def test_warning_is_an_error(tmp_path: Path) -> None:
    write_test(tmp_path, "import warnings\n\ndef test_warns():\n    warnings.warn('x', stacklevel=2)\n")
    assert "1 failed" in run_pytest(tmp_path).stdout
