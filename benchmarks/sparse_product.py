"""A sparse matrix times a dense one, and its gradients, beside PyTorch: as a graph network multiplies, step by step.

    python benchmarks/sparse_product.py --output benchmarks/results/sparse_product.json

One thread each, in one process, by turns; CPU time of the process, medians with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np
import torch

import distrt

CASES = [(100_000, 1_000_000, 64), (100_000, 1_000_000, 16), (20_000, 200_000, 64), (2_708, 13_264, 16)]


def prepared(library: Any, parts: tuple[Any, ...], layout: str) -> dict[str, Any]:
    """What is timed, by name."""
    indices, values, dense, size = parts
    features = library.from_numpy(dense).requires_grad_()
    matrix = library.sparse_coo_tensor(library.from_numpy(indices), library.from_numpy(values), (size, size))
    matrix = matrix.coalesce()
    if layout == "csr":
        matrix = matrix.to_sparse_csr()

    def forward() -> None:
        with library.no_grad():
            library.sparse.mm(matrix, features)

    def step() -> None:
        features.grad = None
        made = library.sparse.mm(matrix, features)
        made.backward(made.detach())

    return {"forward": forward, "forward and backward": step}


def main() -> None:
    """Prints a table; ``--output`` stores it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = []
    for size, count, width in CASES:
        rng = np.random.default_rng(0)
        parts = (
            rng.integers(0, size, (2, count)),
            rng.standard_normal(count, np.float32),
            rng.standard_normal((size, width), np.float32),
            size,
        )
        for layout in ("coo", "csr"):
            work = {library.__name__: prepared(library, parts, layout) for library in (distrt, torch)}
            for what in ("forward", "forward and backward"):
                spent = timed({name: each[what] for name, each in work.items()}, options.rounds)
                ratios = [mine / theirs for mine, theirs in zip(spent["distrt"], spent["torch"], strict=True)]
                row = {"size": size, "elements": count, "columns": width, "layout": layout, "what": what}
                row |= {name: round(1e3 * statistics.median(each), 3) for name, each in spent.items()}
                row |= {
                    "ratio": round(statistics.median(ratios), 3),
                    "ratios": [round(min(ratios), 3), round(max(ratios), 3)],
                }
                rows.append(row)
                print(
                    f"{size:>7} x {size}, {count:>8} elements, {width:>3} columns, {layout}, {what:<21}"
                    f" distrt {row['distrt']:>9.3f} ms   torch {row['torch']:>9.3f} ms   ratio {row['ratio']:.2f}"
                    f" ({min(ratios):.2f} to {max(ratios):.2f})",
                    flush=True,
                )
    if options.output:
        options.output.write_text(json.dumps({"unit": "ms of CPU time", "rows": rows}, indent=2) + "\n")


def timed(work: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """The CPU time of each in each round; the first round of both does not count."""
    spent: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds + 1):
        for name, run in work.items():
            repeat = 1
            start = time.process_time()
            run()
            once = time.process_time() - start
            if once < 0.02:
                repeat = int(0.02 / max(once, 1e-5)) + 1
                start = time.process_time()
                for _ in range(repeat):
                    run()
                once = (time.process_time() - start) / repeat
            if turn:
                spent[name].append(once)
    return spent


if __name__ == "__main__":
    main()
