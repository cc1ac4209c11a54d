"""What does `reproducible=V` cost? Steps with and without it, at the same micro-batch, in turns.

python benchmarks/reproducible.py [--ranks N] [--rounds N] [--output FILE.json]

Two ranks train under DistributedDataParallel, of which one wrapper has two virtual shards: one for each rank. A second
pair has eight, four a rank; beside it, plain data parallelism goes through four micro-batches (`no_sync`).
"""

import argparse
import contextlib
import itertools
from collections.abc import Callable
from typing import Any

from ranks import compare, in_turns, main, run

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


def measure(rounds: int) -> dict[str, Any]:
    import distrt as torch
    import distrt.distributed as dist
    from distrt.nn.parallel import DistributedDataParallel

    def stepper(make: Any, inputs: Any, shards: int, is_reproducible: bool) -> Callable[[], None]:
        in_all = dist.get_world_size() * shards
        model = DistributedDataParallel(make(), reproducible=in_all if is_reproducible else None)
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

    record = {}
    for name, (make, draw) in models(torch).items():
        for shards in (1, 4):
            inputs = draw(MICRO_BATCH * shards)
            works = {
                "plain": stepper(make, inputs, shards, is_reproducible=False),
                "reproducible": stepper(make, inputs, shards, is_reproducible=True),
            }
            found = in_turns(works, rounds, repeat=3)
            pairs = zip(found["plain"], found["reproducible"], strict=True)
            record[f"{name}, {shards} a rank"] = list(pairs)
    return record


def show(args: argparse.Namespace) -> dict[str, Any]:
    print(f"{args.ranks} ranks, micro-batches of {MICRO_BATCH}, medians of {args.rounds} rounds:")
    return {"cases": compare(run(__file__, args.ranks, args.rounds), "plain", "reproducible")}


if __name__ == "__main__":
    main(__doc__, measure, show, rounds=15)
