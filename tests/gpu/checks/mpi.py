"""Ranks on GPUs over MPI: ``mpi SIZE PROGRAM ARGUMENTS`` runs a program of ``ranks/`` on each; prints what they said.

Each rank counts as a machine of its own, since ranks of one machine share memory and leave MPI alone. On the fake of
CuPy and on an emulated GPU the memory of a GPU is the CPU's, so every MPI can be given it.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import cupy

from tests.gpu.fixtures import NOT_THERE
from tests.multiprocess.mpi_ranks import ON_MPI, mpi_ranks

PROGRAM = """
from importlib import import_module
from tests.gpu.checks.ranks import cuda_aware
cuda_aware.before(sys.argv[2])
{ON_MPI}
import_module(f"tests.gpu.checks.ranks.{{sys.argv[1]}}").main(group, *sys.argv[2:])
"""
#: Whether the memory of a GPU is the CPU's: on the fake of CuPy, and on an emulated GPU.
IS_ON_CPU = hasattr(cupy.cuda, "traffic") or b"Emulated" in cupy.cuda.runtime.getDeviceProperties(0)["name"]


def main(size: str, program: str, *arguments: str) -> int:
    """Says how many ranks failed."""
    if importlib.util.find_spec("mpi4py") is None:
        print("mpi4py is not installed")
        return NOT_THERE
    variables = {
        "PYTHONPATH": os.environ["PYTHONPATH"],
        **{name: value for name, value in os.environ.items() if name.startswith("DISTRT_EMULATED_")},
        # Without memory that these machines share, which they would not; a GPU's has to be copied by somebody.
        "UCX_TLS": os.environ.get("UCX_TLS", "tcp,self" if IS_ON_CPU else "tcp,self,cuda_copy"),
        # A copy of MPI's own would hide that one of ours is missing.
        **({"DISTRT_MPI_CUDA": "1", "UCX_RNDV_THRESH": "1024"} if IS_ON_CPU else {}),
    }
    text, machines = PROGRAM.format(ON_MPI=ON_MPI), range(int(size))
    with mpi_ranks(int(size), text, program, *arguments, machines=machines, variables=variables) as started:
        results = started.results(timeout_s=300)
    if all(code == NOT_THERE for code, _, _ in results):
        print("MPI is not CUDA-aware")
        return NOT_THERE
    failed = 0
    for rank, (code, said, complaints) in enumerate(results):
        is_meant = code == -9 and "death" in arguments and rank == 1
        failed += bool(code) and not is_meant
        print(f"rank {rank} ended with {code}\n{said}{complaints}")
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
