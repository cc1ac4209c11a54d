"""How long starting takes: a fresh interpreter that imports NumPy, distrt, or PyTorch, in turns.

python benchmarks/import_time.py [--rounds N] [--output FILE.json]
"""

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

CASES = {
    "python": "pass",
    "numpy": "import numpy",
    "distrt": "import distrt",
    "distrt, first use": "import distrt; distrt.ones(2) + 1",
    "distrt, a training script": (
        "import distrt; from distrt import nn, optim; import distrt.distributed, distrt.nn.parallel; nn.Linear(2, 2)"
    ),
    "torch, first use": "import torch; torch.ones(2) + 1",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    cases = {n: c for n, c in CASES.items() if "torch" not in n or importlib.util.find_spec("torch")}
    seconds = {name: [] for name in cases}
    for _ in range(args.rounds + 1):
        for name, code in cases.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            seconds[name].append(time.perf_counter() - start)
    print(f"medians of {args.rounds} rounds; the last column is the median difference from `import numpy`")
    rows = []
    for name, found in seconds.items():
        over = statistics.median(a - b for a, b in zip(found[1:], seconds["numpy"][1:], strict=True))
        rows.append({"case": name, "ms": statistics.median(found[1:]) * 1e3, "over_numpy_ms": over * 1e3})
        print(f"{name:>28} {rows[-1]['ms']:9.1f} ms {rows[-1]['over_numpy_ms']:+9.1f} ms")
    if args.output:
        args.output.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
