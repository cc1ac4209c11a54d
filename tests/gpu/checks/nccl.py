"""Ranks on GPUs: ``nccl SIZE PROGRAM ARGUMENTS`` runs a program of ``ranks/`` on each; prints what they said.

Where there are fewer GPUs than ranks, some share one, which NCCL allows from 2.30 on.
"""

from __future__ import annotations

import os
import sys

import distrt
from tests.conformance.ranks import ranks

PROGRAM = """
from importlib import import_module
import_module(f"tests.gpu.checks.ranks.{sys.argv[1]}").main(join(timeout_s=60), *sys.argv[2:])
"""


def run(size: int, program: str, *arguments: str) -> list[tuple[int, str, str]]:
    """Each rank's exit code, and what it said."""
    if distrt.cuda.device_count() < size:
        os.environ["NCCL_MULTI_RANK_GPU_ENABLE"] = "1"
        os.environ.setdefault("NCCL_NVLS_ENABLE", "0")  # which does not go with it
    os.environ["DISTRT_TEST_PATH"] = os.environ.get("PYTHONPATH", "")
    with ranks(size, PROGRAM, program, *arguments) as started:
        return started.results(timeout_s=300)


def main(size: str, program: str, *arguments: str) -> int:
    """Says how many ranks failed."""
    failed = 0
    for rank, (code, said, complaints) in enumerate(run(int(size), program, *arguments)):
        is_meant = code == -9 and arguments == ("death",) and rank == 1
        failed += bool(code) and not is_meant
        print(f"rank {rank} ended with {code}\n{said}{complaints}")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(*sys.argv[1:]) else 0)
