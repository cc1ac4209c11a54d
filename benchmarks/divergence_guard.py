"""What does comparing the ranks' parameters cost? A check of a 10 million parameter model beside its step, in turns.

python benchmarks/divergence_guard.py [--rounds N] [--output FILE.json]

Two ranks train a multi-layer perceptron under DistributedDataParallel. A check that is made every 100 passes costs a
hundredth of its own time for each step.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

EVERY = 100
BATCH = 32


def be_a_rank(rounds: int) -> None:
    import distrt as torch
    import distrt.distributed as dist
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel
    from distrt.parallel import DivergenceGuard

    dist.init_process_group()
    layers = [nn.Linear(1024, 3072), nn.ReLU(), nn.Linear(3072, 2048), nn.ReLU(), nn.Linear(2048, 256)]
    model = DistributedDataParallel(nn.Sequential(*layers))
    guard = DivergenceGuard(model, every=10**9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.randn(BATCH, 1024)

    def step() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    def ms(work: Callable[[], None]) -> float:
        dist.barrier()
        start = time.perf_counter()
        work()
        dist.barrier()
        return (time.perf_counter() - start) * 1e3

    for work in (step, guard.check):
        work()
    found = [(ms(step), ms(guard.check)) for _ in range(rounds)]
    if dist.get_rank() == 0:
        size = sum(each.numel() for each in model.parameters())
        print("found:", json.dumps({"parameters": size, "step_and_check_ms": found}))
    dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
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
    record = json.loads(done.stdout.rpartition("found:")[2].splitlines()[0])
    shares = [check / EVERY / step for step, check in record["step_and_check_ms"]]
    step_ms, check_ms = (statistics.median(each) for each in zip(*record["step_and_check_ms"], strict=True))
    print(f"{record['parameters']} parameters, 2 ranks, batch {BATCH} each, medians of {args.rounds} rounds:")
    print(f"  step {step_ms:.1f} ms, check {check_ms:.1f} ms")
    share = statistics.median(shares)
    print(f"  a check every {EVERY} passes: {share:.2%} of a step ({min(shares):.2%} - {max(shares):.2%})")
    if args.output:
        record |= {
            "cores": len(os.sched_getaffinity(0)),
            "every": EVERY,
            "share_of_a_step": share,
        }
        args.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
