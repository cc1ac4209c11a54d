"""What every test can use (the run's seed, PyTorch where installed), the tiers, and the leak check of a run.

`scripts/test` calls pytest with this. A bare `pytest` is its plain tier with seed 0.
"""

import contextlib
import fcntl
import functools
import gc
import importlib.util
import inspect
import os
import re
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import numpy as np
import pytest

from tests.oracles import NO_TORCH, require_torch

RUN_SEED = int(os.environ.get("DISTRT_TEST_SEED", "0"))
SHARED_MEMORY = Path("/dev/shm")

STARTS_RANKS = {"conformance", "launch", "multiprocess"}  # folders

shm_before = pytest.StashKey[set[str]]()
left_behind = pytest.StashKey[list[str]]()

# Loaded by name, or hypothesis would pick its own CI profile, which ignores the run's seed.
for profile, examples in {"distrt": 50, "distrt-full": 500}.items():
    hypothesis.settings.register_profile(
        profile,
        max_examples=examples,
        deadline=None,
        derandomize=False,
        print_blob=True,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--ci", action="store_true", help="run the tests that only CI and the full tier run")
    parser.addoption(
        "--full", action="store_true", help="run slow tests too, and more property-test examples"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "alone: loads every core or measures time; no other test runs beside it"
    )
    hypothesis.settings.load_profile("distrt-full" if config.getoption("full") else "distrt")
    if not hasattr(config, "workerinput"):
        os.environ["DISTRT_TEST_RUN"] = tempfile.mkdtemp(prefix="distrt-test-")  # every child inherits it
        config.stash[shm_before] = shm_names()


def pytest_report_header(config: pytest.Config) -> list[str]:
    tier = "full" if config.getoption("full") else "default"
    without = [] if has_torch() else [f"distrt: tests that compare with PyTorch are left out. {NO_TORCH}"]
    return [f"distrt: DISTRT_TEST_SEED={RUN_SEED}, {tier} tier", *without]


@functools.cache
def has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def pytest_pycollect_makeitem(collector: pytest.Collector, name: str, obj: object) -> pytest.Item | None:
    """Without PyTorch, makes one item of a test that asks for it, not one per case: it is left out all the same."""
    if has_torch() or not name.startswith("test") or not inspect.isfunction(obj):
        return None
    asks = "torch" in inspect.signature(obj).parameters
    return pytest.Function.from_parent(collector, name=name) if asks else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not has_torch():
        oracle = [item for item in items if "torch" in getattr(item, "fixturenames", ())]
        items[:] = [item for item in items if "torch" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=oracle)
    is_full = config.getoption("full")
    for marker, is_wanted in (("ci", is_full or config.getoption("ci")), ("slow", is_full)):
        if not is_wanted:
            left_out = [item for item in items if item.get_closest_marker(marker)]
            items[:] = [item for item in items if not item.get_closest_marker(marker)]
            config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps the tests that start ranks on one pytest process, so that they take turns, and each file on one.

    A module's fixtures are made once, then, and the scheduler, which looks at all units of work whenever a test
    ends, has not one for every test.

    xdist's own groups do this by editing node ids, which pytest 9.2 ignores (pytest-xdist issue 1386).
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class RanksTakeTurns(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return file if STARTS_RANKS.isdisjoint(file.split("/")) else "starts ranks"

    return RanksTakeTurns(config, log)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed of this test's own, the same whenever DISTRT_TEST_SEED is the same."""
    return zlib.crc32(f"{RUN_SEED}/{request.node.path.name}/{request.node.name}".encode())


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A NumPy generator with this test's seed."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch, or the test is skipped. Modules that need it at import use tests.oracles."""
    return require_torch()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Lets a test marked ``alone`` run while the other pytest process runs none.

    Two file locks. Everybody passes the gate to take the floor, shared or exclusively, and a waiting
    ``alone`` test keeps the gate closed, so that a stream of ordinary tests cannot hold it off. The wait
    comes before the test's time-out starts.
    """
    locks = Path(os.environ["DISTRT_TEST_RUN"])
    mode = fcntl.LOCK_EX if item.get_closest_marker("alone") else fcntl.LOCK_SH
    with (locks / "floor").open("w") as floor:
        with (locks / "gate").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(floor, mode)
            fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(floor, fcntl.LOCK_UN)  # said aloud: a forked child holds the same open file


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a run whose tests leave a process, or something in shared memory."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    shutil.rmtree(os.environ["DISTRT_TEST_RUN"], ignore_errors=True)
    deadline = time.monotonic() + 3.0  # what is just being torn down gets a moment
    while (left := leftovers(config.stash[shm_before])) and time.monotonic() < deadline:
        time.sleep(0.1)
    config.stash[left_behind] = left
    if left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for what in config.stash.get(left_behind, []):
        terminalreporter.write_line(f"FAILED this run left {what} behind", red=True)


@pytest.fixture(scope="session", autouse=True)
def no_listening_socket_is_left() -> Iterator[None]:
    """Fails where a test process still listens on a port when its tests are done."""
    yield
    gc.collect()
    inodes = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/self/fd/{fd}"))
    listening = []
    for table in ("tcp", "tcp6"):
        rows = (line.split() for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:])
        listening += [row[1] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in inodes]
    assert not listening, f"this process still listens at {listening} (address:port, hexadecimal)"


@pytest.fixture(scope="session", autouse=True)
def no_helper_of_multiprocessing_is_left() -> Iterator[None]:
    """Ends the standard library's fork server and resource tracker, which live as long as their parent, but for this.

    They end once nobody holds their pipes. Whoever does so still is not waited for: the leak check names it.
    """
    yield
    for name in ("forkserver", "resource_tracker"):
        module = sys.modules.get(f"multiprocessing.{name}")
        if module is not None:
            ending = threading.Thread(target=stop_helper, args=(getattr(module, f"_{name}"),), daemon=True)
            ending.start()
            ending.join(3.0)


def stop_helper(helper: Any) -> None:
    with contextlib.suppress(OSError):  # this process has ended meanwhile
        helper._stop()


def shm_names() -> set[str]:
    return set(os.listdir(SHARED_MEMORY)) if SHARED_MEMORY.is_dir() else set()


def leftovers(shm_before: set[str]) -> list[str]:
    segments = sorted(shm_names() - shm_before - held_elsewhere())
    return [str(SHARED_MEMORY / name) for name in segments] + living_descendants()


def started_by_this_run(process: Path) -> bool:
    ours = f"DISTRT_TEST_RUN={os.environ['DISTRT_TEST_RUN']}".encode()
    return ours in (process / "environ").read_bytes().split(b"\0")


def living_descendants() -> list[str]:
    """Processes that inherited this run's mark, but for pytest's own."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if not command or int(process.name) == os.getpid() or not started_by_this_run(process):
                continue
            if not helps_this_process(process, command):
                found.append((process.name, command))
        except OSError:  # it ended, or is not ours to read
            continue
    of_xdist = "exec(eval(sys.stdin.readline()))"
    return [f"process {pid} ({command[:200]})" for pid, command in found if of_xdist not in command]


def helps_this_process(process: Path, command: str) -> bool:
    """Whether ``multiprocessing`` keeps it for as long as this process lives; what it forked in turn is no helper."""
    is_helper = re.search(r"from multiprocessing\.(forkserver|resource_tracker) import main", command)
    parent = re.search(r"^PPid:\s*(\d+)$", (process / "status").read_text(), re.MULTILINE)
    return is_helper is not None and parent is not None and int(parent[1]) == os.getpid()


def held_elsewhere() -> set[str]:
    """Names in shared memory that a live process which this run did not start has mapped."""
    held: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int(process.name) == os.getpid() or started_by_this_run(process):
                continue
            lines = (process / "maps").read_text().splitlines()
        except OSError:  # it ended, or is not ours to read
            continue
        held.update(line.split("/dev/shm/", 1)[1].split("/")[0] for line in lines if "/dev/shm/" in line)
    return held
