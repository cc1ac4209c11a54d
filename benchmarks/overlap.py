"""How much of the communication does backward hide? For information: it depends on how many cores are free.

python benchmarks/overlap.py [--ranks N] [--rounds N] [--output FILE.json]

In turns, in the same ranks: a backward pass that averages gradients, one that does not (`no_sync`), and all-reduces of
the same buffers with nothing beside them. What the first takes longer than the second, as a part of the third, was not
hidden.
"""

import argparse
import statistics
from itertools import pairwise
from typing import Any

from ranks import cores, main, ms, run

CASES = {
    "mlp 784-512-512-10 batch 64": ((784, 512, 512, 10), 64),
    "mlp 1024-2048-2048-10 batch 128": ((1024, 2048, 2048, 10), 128),
}


def measure(rounds: int) -> dict[str, Any]:
    import distrt as torch
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel

    record = {}
    for name, (sizes, batch) in CASES.items():
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        model = DistributedDataParallel(nn.Sequential(*layers[:-1]))
        inputs, targets = torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,))

        def loss(model=model, inputs=inputs, targets=targets):
            model.zero_grad()
            return nn.functional.cross_entropy(model(inputs), targets)

        def averaging(loss=loss) -> float:
            return ms(loss().backward, meets_after=False)

        def local(model=model, loss=loss) -> float:
            with model.no_sync():
                return ms(loss().backward, meets_after=False)

        def alone(model=model) -> float:
            group = model.process_group
            buffers = [bucket.buffer for bucket in model.reducer.buckets]
            return ms(lambda: [group.all_reduce(each) for each in buffers], meets_after=False)

        for work in (averaging, local, alone) * 60:
            work()
        record[name] = [(averaging(), local(), alone()) for _ in range(rounds)]
    return record


def show(args: argparse.Namespace) -> dict[str, Any]:
    found = run(__file__, args.ranks, args.rounds)
    print(f"{args.ranks} ranks on {cores()} cores, medians of {args.rounds} rounds, ms:")
    cases = {}
    for name, rows in found.items():
        averaging, local, alone = (statistics.median(each) for each in zip(*rows, strict=True))
        hidden = 1 - (averaging - local) / alone
        print(
            f"{name:32} backward {averaging:.2f}, alone {local:.2f}, all-reduce {alone:.2f}: hidden {hidden:.0%}"
        )
        cases[name] = {
            "averaging_ms": averaging,
            "local_ms": local,
            "alone_ms": alone,
            "hidden": hidden,
        }
    return {"ranks": args.ranks, "cases": cases}


if __name__ == "__main__":
    main(__doc__, measure, show, rounds=100)
