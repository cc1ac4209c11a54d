"""How much of the communication does backward hide? For information: it depends on how many cores are free.

python benchmarks/overlap.py [--ranks N] [--rounds N] [--output FILE.json]

In turns, in the same ranks: a backward pass that averages gradients, one that does not (`no_sync`), and all-reduces of
the same buffers with nothing beside them. What the first takes longer than the second, as a part of the third, was not
hidden.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

CASES = {
    "mlp 784-512-512-10 batch 64": ((784, 512, 512, 10), 64),
    "mlp 1024-2048-2048-10 batch 128": ((1024, 2048, 2048, 10), 128),
}


def be_a_rank(rounds: int) -> None:
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel

    dist.init_process_group()

    def ms(work: Callable[[], object]) -> float:
        dist.barrier()
        start = time.perf_counter()
        work()
        return (time.perf_counter() - start) * 1e3

    record = {}
    for name, (sizes, batch) in CASES.items():
        layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        model = DistributedDataParallel(nn.Sequential(*layers[:-1]))
        inputs, targets = torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,))

        def loss(model=model, inputs=inputs, targets=targets):
            model.zero_grad()
            return nn.functional.cross_entropy(model(inputs), targets)

        def averaging(loss=loss) -> float:
            return ms(loss().backward)

        def local(model=model, loss=loss) -> float:
            with model.no_sync():
                return ms(loss().backward)

        def alone(model=model) -> float:
            group = model.process_group
            return ms(lambda: [group.all_reduce(bucket.buffer) for bucket in model.reducer.buckets])

        for work in (averaging, local, alone) * 60:
            work()
        record[name] = [(averaging(), local(), alone()) for _ in range(rounds)]
    if dist.get_rank() == 0:
        print("found:", json.dumps(record))
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--be-a-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be_a_rank:
        be_a_rank(args.rounds)
        return
    command = [sys.executable, "-m", "launch", "--nproc-per-node", str(args.ranks), __file__]
    done = subprocess.run(
        [*command, "--be-a-rank", "--rounds", str(args.rounds)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    found = json.loads(done.stdout.rpartition("found:")[2].splitlines()[0])
    cores = len(os.sched_getaffinity(0))
    print(f"{args.ranks} ranks on {cores} cores, medians of {args.rounds} rounds, ms:")
    record = {"ranks": args.ranks, "cores": cores, "cases": {}}
    for name, rows in found.items():
        averaging, local, alone = (statistics.median(each) for each in zip(*rows, strict=True))
        hidden = 1 - (averaging - local) / alone
        print(
            f"{name:32} backward {averaging:.2f}, alone {local:.2f}, all-reduce {alone:.2f}: hidden {hidden:.0%}"
        )
        record["cases"][name] = {
            "averaging_ms": averaging,
            "local_ms": local,
            "alone_ms": alone,
            "hidden": hidden,
        }
    if args.output:
        args.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
