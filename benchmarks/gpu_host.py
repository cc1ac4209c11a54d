"""What the host takes for a training step on a GPU, and how many launches it makes: where the GPU is faster than that,
a step that is not captured waits for Python.

No GPU is needed: the steps of `gpu.py` run on the emulated one (docs/gpu.md), which is idle: it checks arguments and
computes nothing. Processor time of the calls, medians; CuPy has its part in it, CUDA's driver and libraries have not.

python benchmarks/gpu_host.py [--rounds N] [--only WORD] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

INSIDE = "DISTRT_EMULATED_IDLE"


def launches() -> int:
    """How many kernels, copies within the GPU and calls of libraries there have been."""
    mapped = Path("/proc/self/maps").read_text().splitlines()
    name = next(line.split()[-1] for line in mapped if "libcudart.so" in line)
    count = ctypes.CDLL(name).emulated_works
    count.restype = ctypes.c_longlong
    return int(count())


def measured(run: Any, rounds: int) -> dict[str, float]:
    """Milliseconds of a step, and its launches."""
    for _ in range(2):
        run()
    times, before = [], launches()
    for _ in range(rounds):
        began = time.process_time()
        run()
        times.append((time.process_time() - began) * 1e3)
    quarters = statistics.quantiles(times, n=4)
    return {
        "ms": statistics.median(times),
        "from": quarters[0],
        "to": quarters[2],
        "launches": (launches() - before) / rounds,
    }


def inside(rounds: int, only: str, output: str | None) -> None:
    """On the idle GPU: prints a line for each step, and writes JSON."""
    import distrt
    from benchmarks import gpu

    found = {}
    for name, run, _ in gpu.steps(distrt):
        if only in name:
            row = found[name] = measured(run, rounds)
            print(
                f"{name:32} {row['ms']:7.1f} ms ({row['from']:.1f} to {row['to']:.1f}), "
                f"{row['launches']:.0f} launches",
                flush=True,
            )
    if output:
        Path(output).write_text(json.dumps(found, indent=1))


def main() -> int:
    """Starts itself with the emulated GPU's variables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", help="steps whose name has this")
    parser.add_argument("--output")
    options = parser.parse_args()
    if INSIDE in os.environ:
        inside(options.rounds, options.only, options.output)
        return 0
    from tests.gpu.emulator import environment

    variables = environment.variables(environment.default_folder())
    variables["PYTHONPATH"] = os.pathsep.join((variables["PYTHONPATH"], str(ROOT)))
    return subprocess.run(
        [sys.executable, __file__, *sys.argv[1:]], env={**os.environ, **variables, INSIDE: "1"}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
