"""How GPU checks are run: each as a script of its own, on the GPU that is there, or on the fake.

In a process of their own, since a process that has found a GPU is another one for all that follow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def run_check(
    name: str, *arguments: str, fake: bool = True, seconds: float = 110
) -> subprocess.CompletedProcess[str]:
    """Runs ``tests/gpu/checks/NAME.py``; with ``fake``, CuPy's fake stands in for CuPy and its GPUs."""
    path = [str(ROOT), *([str(HERE / "fake")] if fake else []), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, "-W", "error", "-m", f"tests.gpu.checks.{name}", *arguments]
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False
    )
