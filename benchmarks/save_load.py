"""How fast are files beside PyTorch's? Saving and loading a state_dict on a disk, both libraries in turns.

python benchmarks/save_load.py [--megabytes N] [--rounds N] [--folder DIR] [--output FILE.json]

A file is loaded by a new process, as after a restart on the same machine, while it is in the system's cache; then once
more by the same process, whose memory is there already. distrt compares checksums when it loads, PyTorch does not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LAYER_MB = 16


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(megabytes: int, rounds: int, folder: str | None) -> dict[str, list[float]]:
    import numpy as np
    import torch

    import distrt

    torch.set_num_threads(1)
    layers = max(1, megabytes // LAYER_MB)
    values = {f"layer{number}": np.random.rand(LAYER_MB << 17) for number in range(layers)}
    mine = {name: distrt.from_numpy(each) for name, each in values.items()}
    theirs = {name: torch.from_numpy(each) for name, each in values.items()}
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        ours, other = Path(place) / "distrt.pt", Path(place) / "torch.pt"
        works = {
            "save distrt": lambda: distrt.save(mine, ours),
            "save torch": lambda: torch.save(theirs, other),
        }
        for number in range(rounds + 1):
            for name, work in works.items():
                spent = timed(work)
                if number:  # the first round warms up
                    found.setdefault(name, []).append(spent)
            for library, path in (("distrt", ours), ("torch", other)) if number else ():
                command = [sys.executable, "-W", "ignore", __file__, "--load", library, str(path)]
                spoken = subprocess.run(
                    command, check=True, capture_output=True, text=True, timeout=600
                ).stdout
                for verb, spent in zip(("load", "load again", "map"), json.loads(spoken), strict=True):
                    found.setdefault(f"{verb} {library}", []).append(spent)
            ours.unlink()
            other.unlink()
    return found


def loads(library: str, path: str) -> list[float]:
    """Seconds for loading once, once more, and as a map."""
    if library == "torch":
        import torch

        torch.set_num_threads(1)
        torch.load(path, mmap=True)  # what is imported late
        return [
            timed(work) for work in [lambda: torch.load(path)] * 2 + [lambda: torch.load(path, mmap=True)]
        ]
    import distrt

    distrt.load(path, mmap=True)
    return [timed(work) for work in [lambda: distrt.load(path)] * 2 + [lambda: distrt.load(path, mmap=True)]]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", help="where the files go (default: the system's place for temporary files)"
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(loads(*args.load)))
        return
    found = measure(args.megabytes, args.rounds, args.folder)
    print(f"a state_dict of {args.megabytes} MB, medians of {args.rounds} rounds:")
    ratios = {}
    for verb in ("save", "load", "load again", "map"):
        pairs = list(zip(found[f"{verb} distrt"], found[f"{verb} torch"], strict=True))
        ratios[verb] = statistics.median(mine / theirs for mine, theirs in pairs)
        mine, theirs = (statistics.median(each) for each in zip(*pairs, strict=True))
        print(
            f"  {verb}: distrt {mine * 1e3:.1f} ms, PyTorch {theirs * 1e3:.1f} ms, ratio {ratios[verb]:.2f}"
        )
    if args.output:
        record = {"megabytes": args.megabytes, "rounds": args.rounds, "seconds": found, "ratios": ratios}
        args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
