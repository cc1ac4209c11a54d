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


def run_files(directory: Path, *arguments: str, tests: dict[str, str], **environment: str) -> str:
    """What `run_pytest` prints for a folder with these tests, by file name, and last of all its exit code."""
    for name, text in tests.items():
        write_test(directory, text, f"test_{name}.py")
    result = run_pytest(directory, "-s", "-rA", *arguments, **environment)
    return f"{result.stdout}\nexit code {result.returncode}"


def write_test(directory: Path, text: str, name: str = "test_it.py") -> None:
    path = directory / "tests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


SEED = "def test_seed(seed, rng):\n    print('values', seed, rng.integers(1 << 30))\n"
TIERS = """
import pytest

@pytest.mark.ci
def test_longer():
    pass

@pytest.mark.slow
def test_slow():
    pass

def test_quick():
    pass
"""
NEEDS_TORCH = """
import pytest

@pytest.mark.parametrize("case", range(100))
def test_oracle(case, torch):
    pass

def test_other():
    pass
"""
WARNS = "import warnings\n\ndef test_warns():\n    warnings.warn('x', stacklevel=2)\n"
LISTENS = """
import socket

def test_leaks():
    global server
    server = socket.create_server(('127.0.0.1', 0))
"""


# A run takes seconds: tests that need no run of their own share these three.


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The default tier of tests without a fault, with seed 1."""
    tests = {"seed": SEED, "tiers": TIERS}
    return run_files(tmp_path_factory.mktemp("clean"), tests=tests, DISTRT_TEST_SEED="1")


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """CI's tier of tests of which one warns, with seed 1, where there is no PyTorch."""
    directory = tmp_path_factory.mktemp("faulty")
    (directory / "hide_torch.py").write_text("import sys\nsys.modules['torch'] = None\n")
    tests = {"seed": SEED, "tiers": TIERS, "needs_torch": NEEDS_TORCH, "warns": WARNS}
    return run_files(directory, "--ci", "-p", "hide_torch", tests=tests, DISTRT_TEST_SEED="1")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The full tier of tests that pass, of which one leaves a listening socket, with seed 2."""
    tests = {"seed": SEED, "tiers": TIERS, "listens": LISTENS}
    return run_files(tmp_path_factory.mktemp("full"), "--full", tests=tests, DISTRT_TEST_SEED="2")


def test_run_that_leaves_nothing_passes(clean: str) -> None:
    assert clean.endswith("exit code 0")


def test_run_that_leaves_a_listening_socket_fails_and_says_where(full: str) -> None:
    assert "5 passed, 1 error" in full and full.endswith("exit code 1")
    assert "this process still listens at ['0100007F:" in full


def test_longer_tests_run_in_ci_and_the_slow_ones_in_the_full_tier_only(
    clean: str, faulty: str, full: str
) -> None:
    assert "2 passed, 2 deselected" in clean and "::test_slow" not in clean and "::test_longer" not in clean
    assert "::test_longer" in faulty and "::test_slow" not in faulty
    assert "::test_slow" in full and "::test_longer" in full and "deselected" not in full


def test_seed_comes_from_the_environment_and_is_printed(clean: str, faulty: str, full: str) -> None:
    def values(stdout: str, run_seed: str) -> str:
        assert f"DISTRT_TEST_SEED={run_seed}" in stdout
        return re.findall("values .*", stdout)[0]

    assert values(clean, "1") == values(faulty, "1") != values(full, "2")


def test_oracle_tests_without_pytorch_are_left_out_with_the_reason(faulty: str) -> None:
    assert "scripts/test --oracle installs it" in faulty
    assert "PASSED tests/test_needs_torch.py::test_other" in faulty
    assert "2 deselected" in faulty and "::test_oracle" not in faulty


def test_warning_is_an_error(faulty: str) -> None:
    assert "1 failed, 4 passed" in faulty and "FAILED tests/test_warns.py::test_warns" in faulty
    assert faulty.endswith("exit code 1")


LEAVES_A_PROCESS = """
import subprocess, sys
def test_leaves_a_process():
    global child
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("pid", child.pid)
"""


@pytest.mark.ci
@pytest.mark.alone  # other tests check that /dev/shm stays as it was
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no /dev/shm")
def test_run_that_leaves_a_shared_segment_or_a_process_fails_and_names_it(tmp_path: Path) -> None:
    segment = Path("/dev/shm") / f"distrt-leak-{uuid.uuid4().hex}"
    leaves_a_segment = f"def test_leaves_a_segment():\n    open({str(segment)!r}, 'w').close()\n"
    try:
        told = run_files(tmp_path, tests={"segment": leaves_a_segment, "process": LEAVES_A_PROCESS})
    finally:
        segment.unlink(missing_ok=True)
    pid = re.search(r"pid (\d+)", told)
    assert pid is not None
    os.kill(int(pid[1]), signal.SIGKILL)
    assert "2 passed" in told and told.endswith("exit code 1")
    assert f"FAILED this run left {segment} behind" in told
    assert re.search(rf"FAILED this run left process {pid[1]} \(.*time.sleep\(60\)", told)


STARTS_BY_A_SERVER = """
import multiprocessing, time
def test_starts_a_process():
    global process
    process = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=({seconds},), daemon=True)
    process.start()
    print("pid", process.pid)
    if not {seconds}:
        process.join()
"""


@pytest.mark.ci
@pytest.mark.parametrize("seconds", [0, 60])
def test_a_server_that_forks_is_not_left_behind_but_what_it_forked_is(tmp_path: Path, seconds: int) -> None:
    told = run_files(tmp_path, tests={"server": STARTS_BY_A_SERVER.format(seconds=seconds)})
    pid = re.search(r"pid (\d+)", told)
    assert pid is not None
    left = re.findall(r"FAILED this run left (?:process )?(\S+)", told)
    assert left == ([pid[1]] if seconds else [])
    assert told.endswith(f"exit code {int(seconds > 0)}")


ALONE = """
import time, pytest
from pathlib import Path

@pytest.mark.alone
@pytest.mark.parametrize("i", range(8))
def test_alone(i):
    assert list(Path().glob("busy-*")) == []
    Path(f"alone-{i}").touch()
    time.sleep(0.1)
    Path(f"alone-{i}").unlink()
"""
WORKER = """
import os, time, pytest
from pathlib import Path

@pytest.mark.parametrize("i", range(6))
def test_worker(i):
    assert list(Path().glob("alone-*")) == []
    worker = os.environ["PYTEST_XDIST_WORKER"]
    Path(f"{__name__}-{worker}").touch()
    busy = Path(f"busy-{worker}")
    busy.touch()
    time.sleep(0.1)
    busy.unlink()
"""


@pytest.mark.slow
def test_those_that_start_ranks_and_those_of_a_file_have_one_worker_and_those_alone_overlap_no_other(
    tmp_path: Path,
) -> None:
    for name in ("multiprocess/test_first", "conformance/test_second", "house/test_third"):
        write_test(tmp_path, WORKER, f"{name}.py")
    write_test(tmp_path, ALONE)
    result = run_pytest(tmp_path, "--numprocesses=2", "--dist=loadgroup")
    assert "26 passed" in result.stdout, result.stdout
    workers = [path.name.rpartition("-") for path in tmp_path.glob("test_*-gw*")]
    by_file = {module: worker for module, _, worker in workers}
    assert len(workers) == 3 and by_file["test_first"] == by_file["test_second"], workers
