"""Every collective, in every dtype, as NumPy has it, and alike on all ranks."""

from __future__ import annotations

import distrt
from distrt.comm.process_group import ProcessGroup
from tests.conformance.cases import COLLECTIVES, run_all, sample
from tests.gpu.checks.on_gpu import OnGpu


def main(group: ProcessGroup, backend: str, seed: str, amount: str, kind: str) -> None:
    """Prints the digests of all cases."""
    distrt.use_deterministic_algorithms(kind == "deterministic")
    lane = OnGpu(group, backend)
    print({name: run_all(lane, sample(name, int(seed), int(amount))) for name in COLLECTIVES})
    group.close()
