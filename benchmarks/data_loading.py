"""How fast does a DataLoader with workers feed batches of images, beside PyTorch's?

python benchmarks/data_loading.py [--workers N] [--batches N] [--rounds N] [--output FILE.json]

Batches of 32 x 3 x 224 x 224 float32 (18 MiB). Three datasets, each made of the same arrays for both libraries:
samples that lie ready, so that only their way to the training process counts; samples that a worker scales and flips
first; and small samples. The training process reads every byte of a batch, as a model would. Both libraries load in
turn, in one run; reported are the medians of the rounds, and the medians and ranges of their ratios.
"""

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH, SHAPE = 32, (3, 224, 224)


def datasets(module: Any, batches: int) -> dict[str, Any]:
    """The datasets as this library's."""
    random_bytes = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)
    ready = random_bytes.astype(np.float32)

    class Ready(module.utils.data.Dataset):  # type: ignore[misc, name-defined]
        def __len__(self) -> int:
            return BATCH * batches

        def __getitem__(self, index: int) -> Any:
            return module.from_numpy(ready[index % 64]), index % 10

    class Scaled(Ready):
        def __getitem__(self, index: int) -> Any:
            image = random_bytes[index % 64]
            if random.random() < 0.5:
                image = image[:, :, ::-1]
            return module.from_numpy(image.astype(np.float32) * np.float32(1 / 255)), index % 10

    class Small(Ready):
        def __len__(self) -> int:
            return 40 * BATCH * batches

        def __getitem__(self, index: int) -> Any:
            return module.from_numpy(ready[index % 64, :1, :28, :28]), index % 10

    return {"ready": Ready(), "scaled": Scaled(), "small (28 x 28)": Small()}


def passes(module: Any, name: str, workers: int, batches: int) -> Callable[[], float]:
    """A function that makes one pass and gives the seconds that a batch has taken."""
    data = datasets(module, batches)[name]
    loader = module.utils.data.DataLoader(data, BATCH, num_workers=workers, persistent_workers=True)

    def one() -> float:
        began, count = time.perf_counter(), 0
        for images, _ in loader:
            images.numpy().max()
            count += 1
        return (time.perf_counter() - began) / count

    one()  # starts the workers
    return one


def measure(workers: int, batches: int, rounds: int) -> dict[str, Any]:
    import torch

    import distrt

    torch.set_num_threads(1)
    found = {}
    for name in ("ready", "scaled", "small (28 x 28)"):
        both = {each.__name__: passes(each, name, workers, batches) for each in (distrt, torch)}
        times: dict[str, list[float]] = {"distrt": [], "torch": []}
        for number in range(rounds):
            for library in sorted(both, reverse=bool(number % 2)):
                times[library].append(both[library]())
        ratios = [theirs / ours for ours, theirs in zip(times["distrt"], times["torch"], strict=True)]
        found[name] = {
            "distrt_ms": 1e3 * statistics.median(times["distrt"]),
            "torch_ms": 1e3 * statistics.median(times["torch"]),
            "times faster": statistics.median(ratios),
            "range": [min(ratios), max(ratios)],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    found = measure(options.workers, options.batches, options.rounds)
    print(f"{options.workers} workers, {options.rounds} rounds; milliseconds a batch")
    print(f"{'samples':>16} {'distrt':>8} {'torch':>8} {'times faster':>13}")
    for name, each in found.items():
        low, high = each["range"]
        print(
            f"{name:>16} {each['distrt_ms']:8.2f} {each['torch_ms']:8.2f} {each['times faster']:13.2f} "
            f"({low:.2f} to {high:.2f})"
        )
    if options.output:
        report = {"workers": options.workers, "rounds": options.rounds, "found": found}
        options.output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
