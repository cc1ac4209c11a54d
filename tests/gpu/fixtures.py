"""How GPU checks are run: each as a script of its own, on the GPU that is there, or on the fake.

In a process of their own, since a process that has found a GPU is another one for all that follow.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

#: What a check ends with that had to be stopped.
TOO_LATE = 124
#: What a check ends with where it needs something that this machine lacks.
NOT_THERE = 3

#: Which checks are run with fakes of NVIDIA's libraries; the others do without these.
FAKE_LIBRARIES = {
    "cudnn": ("convolutions", "recurrent"),
    "cublas": ("attention", "epilogues", "fused_attention", "products", "recurrent", "training"),
    "cublaslt": ("epilogues", "training"),
}


def fake_library(name: str) -> str:
    """The file of a library that computes on the CPU, compiled where that has not been done; "0" without a compiler."""
    source, *shared = (
        HERE / "fake" / each for each in (f"{name}_on_cpu.cpp", "on_cpu.h", "cudnn_recurrent.h")
    )
    digest = hashlib.sha256(b"".join(each.read_bytes() for each in (source, *shared))).hexdigest()[:16]
    made = Path(tempfile.gettempdir()) / f"distrt-fake-{name}-{digest}.so"
    if shutil.which("g++") is None:
        return "0"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            target = Path(folder) / "library.so"
            flags = ["-std=c++17", "-O2", "-shared", "-fPIC", "-w"]
            subprocess.run(["g++", *flags, str(source), "-o", str(target)], check=True)
            target.replace(made)
    return str(made)


def run_check(
    name: str,
    *arguments: str,
    fake: bool = True,
    seconds: float = 110,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs ``tests/gpu/checks/NAME.py``; with ``fake``, CuPy's fake stands in for CuPy and its GPUs.

    ``variables`` are set in its environment; those of `tests.gpu.emulator.environment` name an emulated GPU. A check
    that is not over after ``seconds`` ends with ``TOO_LATE``.
    """
    environment = {**os.environ, **(variables or {})}
    path = [str(ROOT), *([str(HERE / "fake")] if fake else []), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, path))
    if fake:
        environment["DISTRT_CUPTI"] = "0"  # the system may have one, which knows nothing of the fake
        for library, checks in FAKE_LIBRARIES.items():
            environment[f"DISTRT_{library.upper()}"] = fake_library(library) if name in checks else "0"
    module = [f"tests.gpu.checks.{name}"]
    if environment.get("DISTRT_EMULATED_GUARD") == "1":
        module.insert(0, "tests.gpu.emulator.guarded")
    command = [sys.executable, "-W", "error", "-m", *module, *arguments]
    try:
        return subprocess.run(
            command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as fault:
        said = [each.decode(errors="replace") if each else "" for each in (fault.stdout, fault.stderr)]
        late = f"\nended after {seconds:.0f} s, which is all that it was given\n"
        return subprocess.CompletedProcess(command, TOO_LATE, said[0], said[1] + late)
