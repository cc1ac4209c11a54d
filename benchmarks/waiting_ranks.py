"""Do waiting ranks sleep? Time per sample of one training job on 2 ranks and on 4, in turns, on the same cores.

python benchmarks/waiting_ranks.py [--rounds N] [--output FILE.json]

The same global batch is trained on 2 ranks and on 4, with one thread per rank. With more ranks than cores, a rank that
spins while it waits takes the core of the one that it waits for, and the time per sample explodes.
"""

import argparse
import statistics
from typing import Any

from ranks import cores, main, ms, run

GLOBAL_BATCH = 128
STEPS = 150


def measure(rounds: int) -> float:
    """Microseconds per sample."""
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel

    batch = GLOBAL_BATCH // dist.get_world_size()
    model = DistributedDataParallel(
        nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    )
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = torch.randn(batch, 256), torch.randint(0, 10, (batch,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    for _ in range(10):
        step()
    return ms(step, rounds) / GLOBAL_BATCH * 1e3


def show(args: argparse.Namespace) -> dict[str, Any]:
    times: dict[int, list[float]] = {2: [], 4: []}
    for _ in range(args.rounds):
        for ranks, found in times.items():
            found.append(run(__file__, ranks, STEPS))
    ratios = [four / two for two, four in zip(times[2], times[4], strict=True)]
    print(f"{cores()} cores, medians of {args.rounds} rounds, us per sample:")
    for ranks, found in times.items():
        print(f"  {ranks} ranks: {statistics.median(found):8.2f}")
    print(f"  4 ranks / 2 ranks: {statistics.median(ratios):.2f}  ({min(ratios):.2f} - {max(ratios):.2f})")
    return {"us_per_sample": times, "ratio": statistics.median(ratios)}


if __name__ == "__main__":
    main(__doc__, measure, show, rounds=9, ranks=None)
