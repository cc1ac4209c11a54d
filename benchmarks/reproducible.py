"""What does `reproducible=V` cost? Steps with and without it, at the same micro-batch, in turns.

python benchmarks/reproducible.py [--rounds N] [--output FILE.json]

Two ranks train under DistributedDataParallel, of which one wrapper has two virtual shards: one for each rank. A second
pair has eight, four a rank; beside it, plain data parallelism goes through four micro-batches (`no_sync`).
"""

import argparse
import contextlib
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MICRO_BATCH = 16


def models(torch: Any) -> dict[str, tuple[Callable[[], Any], Callable[[int], Any]]]:
    nn, functional = torch.nn, torch.nn.functional

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (3, 32, 64, 128)
            self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
            self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in widths[1:])
            self.last = nn.Linear(128 * 16, 10)

        def forward(self, x: Any) -> Any:
            for conv, norm in zip(self.convs, self.norms, strict=True):
                x = functional.relu(norm(conv(x)))
            return self.last(functional.dropout(x.flatten(1), 0.1))

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(256, 128)
            layer = nn.TransformerEncoderLayer(128, 4, 512, 0.1, batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 2)
            self.head = nn.Linear(128, 10)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(self.tokens(x)).mean(1))

    return {
        "CNN": (Residual, lambda size: torch.randn(size, 3, 32, 32)),
        "transformer": (Attending, lambda size: torch.randint(0, 256, (size, 64))),
    }


def be_a_rank(rounds: int) -> None:
    import distrt as torch
    import distrt.distributed as dist
    from distrt.nn.parallel import DistributedDataParallel

    dist.init_process_group()

    def stepper(make: Any, inputs: Any, shards: int, is_reproducible: bool) -> Callable[[], None]:
        model = DistributedDataParallel(make(), reproducible=2 * shards if is_reproducible else None)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        targets = torch.randint(0, 10, (len(inputs),))

        def step() -> None:
            optimizer.zero_grad()
            parts = 1 if is_reproducible else shards
            for part in range(parts):
                is_last = part == parts - 1
                with contextlib.nullcontext() if is_last else model.no_sync():
                    own = slice(part * len(inputs) // parts, (part + 1) * len(inputs) // parts)
                    (torch.nn.functional.cross_entropy(model(inputs[own]), targets[own]) / parts).backward()
            optimizer.step()

        return step

    def ms(work: Callable[[], None]) -> float:
        dist.barrier()
        start = time.perf_counter()
        for _ in range(3):
            work()
        dist.barrier()
        return (time.perf_counter() - start) * 1e3 / 3

    record = {}
    for name, (make, draw) in models(torch).items():
        for shards in (1, 4):
            inputs = draw(MICRO_BATCH * shards)
            plain, reproducible = (stepper(make, inputs, shards, each) for each in (False, True))
            for work in (plain, reproducible, plain, reproducible):
                work()
            record[f"{name}, {shards} a rank"] = [(ms(plain), ms(reproducible)) for _ in range(rounds)]
    if dist.get_rank() == 0:
        print("found:", json.dumps(record))
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--be-a-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be_a_rank:
        be_a_rank(args.rounds)
        return
    command = [sys.executable, "-m", "launch", "--nproc-per-node", "2", __file__]
    done = subprocess.run(
        [*command, "--be-a-rank", "--rounds", str(args.rounds)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    pairs = json.loads(done.stdout.rpartition("found:")[2].splitlines()[0])
    print(f"2 ranks, micro-batches of {MICRO_BATCH}, medians of {args.rounds} rounds:")
    record = {"cores": len(os.sched_getaffinity(0)), "cases": {}}
    for name, found in pairs.items():
        plain, reproducible = (statistics.median(each) for each in zip(*found, strict=True))
        costs = [ours / theirs - 1 for theirs, ours in found]
        cost = statistics.median(costs)
        print(
            f"{name:24} plain {plain:7.1f} ms, reproducible {reproducible:7.1f} ms: {cost:+.1%} "
            f"({min(costs):+.1%} - {max(costs):+.1%})"
        )
        record["cases"][name] = {"plain_and_reproducible_ms": found, "cost": cost}
    if args.output:
        args.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
