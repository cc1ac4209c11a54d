"""What does comparing the ranks' parameters cost? A check of a 10 million parameter model beside its step, in turns.

python benchmarks/divergence_guard.py [--ranks N] [--rounds N] [--output FILE.json]

The ranks train a multi-layer perceptron under DistributedDataParallel. A check that is made every 100 passes costs a
hundredth of its own time for each step.
"""

import argparse
import statistics
from typing import Any

from ranks import in_turns, main, run

EVERY = 100
BATCH = 32


def measure(rounds: int) -> dict[str, Any]:
    import distrt as torch
    from distrt import nn
    from distrt.nn.parallel import DistributedDataParallel
    from distrt.parallel import DivergenceGuard

    layers = [nn.Linear(1024, 3072), nn.ReLU(), nn.Linear(3072, 2048), nn.ReLU(), nn.Linear(2048, 256)]
    model = DistributedDataParallel(nn.Sequential(*layers))
    guard = DivergenceGuard(model, every=10**9)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    inputs = torch.randn(BATCH, 1024)

    def step() -> None:
        optimizer.zero_grad()
        model(inputs).square().mean().backward()
        optimizer.step()

    found = in_turns({"step": step, "check": guard.check}, rounds)
    size = sum(each.numel() for each in model.parameters())
    return {"parameters": size, "step_and_check_ms": list(zip(found["step"], found["check"], strict=True))}


def show(args: argparse.Namespace) -> dict[str, Any]:
    record = run(__file__, args.ranks, args.rounds)
    shares = [check / EVERY / step for step, check in record["step_and_check_ms"]]
    step_ms, check_ms = (statistics.median(each) for each in zip(*record["step_and_check_ms"], strict=True))
    size = record["parameters"]
    print(f"{size} parameters, {args.ranks} ranks, batch {BATCH} each, medians of {args.rounds} rounds:")
    print(f"  step {step_ms:.1f} ms, check {check_ms:.1f} ms")
    share = statistics.median(shares)
    print(f"  a check every {EVERY} passes: {share:.2%} of a step ({min(shares):.2%} - {max(shares):.2%})")
    return {**record, "every": EVERY, "share_of_a_step": share}


if __name__ == "__main__":
    main(__doc__, measure, show, rounds=25)
