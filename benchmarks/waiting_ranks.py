"""Do waiting ranks sleep? Time per sample of one training job on 2 ranks and on 4, in turns, on the same cores.

python benchmarks/waiting_ranks.py [--rounds N] [--output FILE.json]

The same global batch is trained on 2 ranks and on 4, with one thread per rank. With more ranks than cores, a rank that
spins while it waits takes the core of the one that it waits for, and the time per sample explodes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GLOBAL_BATCH = 128
STEPS = 150


def be_a_rank():
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel

    dist.init_process_group()
    batch = GLOBAL_BATCH // dist.get_world_size()
    model = DistributedDataParallel(
        nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    )
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = torch.randn(batch, 256), torch.randint(0, 10, (batch,))
    for number in range(STEPS + 10):
        if number == 10:
            dist.barrier()
            start = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()
    dist.barrier()
    if dist.get_rank() == 0:
        print("us per sample:", (time.perf_counter() - start) / STEPS / GLOBAL_BATCH * 1e6)
    dist.destroy_process_group()


def us_per_sample(ranks, folder):
    command = [sys.executable, "-m", "launch", "--nproc-per-node", str(ranks), "--run-dir", folder, __file__]
    done = subprocess.run(
        [*command, "--be-a-rank"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.rpartition("us per sample:")[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--be-a-rank", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be_a_rank:
        be_a_rank()
        return
    times = {2: [], 4: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(args.rounds):
            for ranks, found in times.items():
                found.append(us_per_sample(ranks, folder))
    ratios = [four / two for two, four in zip(times[2], times[4], strict=True)]
    cores = len(os.sched_getaffinity(0))
    print(f"{cores} cores, medians of {args.rounds} rounds, us per sample:")
    for ranks, found in times.items():
        print(f"  {ranks} ranks: {statistics.median(found):8.2f}")
    print(f"  4 ranks / 2 ranks: {statistics.median(ratios):.2f}  ({min(ratios):.2f} - {max(ratios):.2f})")
    if args.output:
        record = {"cores": cores, "us_per_sample": times, "ratio": statistics.median(ratios)}
        args.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
