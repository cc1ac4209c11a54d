"""The same script under PyTorch's gloo and under distrt, as real ranks: what every rank prints must be the same.

A script is written for PyTorch (``import torch``, ``import torch.distributed as dist``); for distrt its imports are
renamed. It finds its place in the environment, as under torchrun, and can call ``told`` to print how a call ends.
"""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.multiprocess.conftest import clean_environment
from tests.oracles import NO_TORCH
from tests.ports import free_port

_PRELUDE = """
import ctypes as _ctypes
_ctypes.CDLL(None).prctl(1, 9, 0, 0, 0)  # PR_SET_PDEATHSIG: a test run that is killed leaves no rank
def told(call, *kinds):
    "What a call gives; where it raises, which of these builtin exceptions that is."
    try:
        return call()
    except Exception as error:
        for kind in kinds:
            if isinstance(error, kind):
                return kind.__name__
        raise
"""

#: PyTorch takes seconds to import, so its ranks are forked from one process that has. They end where their script does:
#: now and then PyTorch dies while Python shuts down ("terminate called without an active exception", from its threads).
_FORKING = """
import os, sys
import torch.distributed
scripts = sys.argv[1:]
children = []
for rank, script in enumerate(scripts):
    child = os.fork()
    if child == 0:
        out = os.open(script + ".out", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(out, 1)
        os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
        sys.argv = [script]
        exec(compile(open(script).read(), script, "exec"), {"__name__": "__main__"})
        sys.stdout.flush()
        os._exit(0)
    children.append(child)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children))
"""


def side_by_side(script: str, size: int = 4, timeout_s: float = 60.0) -> list[str]:
    """Run ``script`` in ``size`` ranks of PyTorch, then of distrt; both must end well and print the same.

    Returns:
        what each rank of distrt printed.
    """
    if importlib.util.find_spec("torch") is None:
        pytest.skip(NO_TORCH)
    expected = run_torch(script, size, timeout_s)
    found = run_distrt(script, size, timeout_s)
    for rank, (theirs, ours) in enumerate(zip(expected, found, strict=True)):
        assert ours == theirs, f"rank {rank} of {size}: distrt, then PyTorch\n{ours}\n---\n{theirs}"
    return found


def run_torch(script: str, size: int, timeout_s: float = 60.0) -> list[str]:
    """What each of PyTorch's ranks printed."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"rank{rank}.py") for rank in range(size)]
        for path in paths:
            path.write_text(_PRELUDE + script)
        command = [sys.executable, "-c", _FORKING, *map(str, paths)]
        _finish([_start(command, _place(size))], timeout_s)
        return [path.with_suffix(".py.out").read_text() for path in paths]


def run_distrt(script: str, size: int, timeout_s: float = 60.0, quiet: bool = True) -> list[str]:
    """What each of distrt's ranks printed; unless not ``quiet``, they may write nothing to stderr."""
    place = _place(size)
    command = [sys.executable, "-W", "default::ResourceWarning", "-c", _PRELUDE + for_distrt(script)]
    ranks = [_start(command, place | {"RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(size)]
    ended = _finish(ranks, timeout_s)
    for rank, (_, err) in enumerate(ended):
        assert not (quiet and err), f"rank {rank} wrote to stderr:\n{err}"
    return [out for out, _ in ended]


def for_distrt(script: str) -> str:
    """The script with its imports of torch renamed."""
    script = re.sub(r"^([ ]*)import torch\b(?!\.)", r"\1import distrt as torch", script, flags=re.M)
    return re.sub(r"^([ ]*)(from|import) torch\b", r"\1\2 distrt", script, flags=re.M)


def _place(size: int) -> dict[str, str]:
    port = free_port()
    return clean_environment(
        f"side by side {port}",
        {
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        },
    )


def _start(command: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env=dict(variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _finish(processes: Sequence[subprocess.Popen[str]], timeout_s: float) -> list[tuple[str, str]]:
    """What each process wrote; all must end well, and none is left."""
    deadline = time.monotonic() + timeout_s
    is_late = False
    ended = []
    for process in processes:
        try:
            ended.append(process.communicate(timeout=max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            is_late = True
            os.killpg(process.pid, signal.SIGKILL)
            ended.append(process.communicate())
    failed = [process.returncode for process in processes]
    story = "\n".join(f"process {place}: {out}\n{err}" for place, (out, err) in enumerate(ended))
    assert not is_late, f"not over after {timeout_s} s\n{story}"
    assert not any(failed), f"exit codes {failed}\n{story}"
    return ended
