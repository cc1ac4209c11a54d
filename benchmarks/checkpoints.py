"""How long does training stand still for a checkpoint? And how long does a checkpoint take beside PyTorch's?

python benchmarks/checkpoints.py [--megabytes N] [--rounds N] [--folder DIR] [--output FILE.json]

A model of linear layers trains with Adam, three tensors for each parameter. An asynchronous save stalls it in the call,
and at the next step, which waits for the copy of what it changes. Saves are compared with
``torch.distributed.checkpoint.save`` of the same tensors; both bring their files to the disk.
"""

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

WIDTH = 1024
LAYER_MB = 12  # parameters and state of a layer


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(megabytes: int, rounds: int, folder: str | None) -> dict[str, list[float]]:
    import torch
    from torch.distributed import checkpoint as dcp

    import distrt
    from distrt import nn
    from distrt.checkpoint import Checkpoints

    torch.set_num_threads(1)
    model = nn.Sequential(
        *(nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(max(1, megabytes // LAYER_MB)))
    )
    optimizer = distrt.optim.Adam(model.parameters(), lr=1e-6)
    batch = distrt.randn(256, WIDTH)

    def passes() -> None:
        optimizer.zero_grad()
        model(batch).square().mean().backward()

    def train() -> None:
        passes()
        optimizer.step()

    train()
    run = {"model": model, "optimizer": optimizer}
    theirs = {
        name: torch.from_numpy(each.detach().numpy().copy())
        for name, each in [
            *model.state_dict().items(),
            *(
                (f"{n}.{key}", state[key])
                for n, state in optimizer.state_dict()["state"].items()
                for key in state
            ),
        ]
    }
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=folder) as place:
        checkpoints = Checkpoints(Path(place) / "distrt", keep=1)
        for number in range(rounds + 1):
            times = {"step": timed(train), "save": timed(lambda: checkpoints.save(1, run))}
            times["save torch"] = timed(
                lambda n=number: dcp.save(theirs, checkpoint_id=Path(place) / f"torch{n}")
            )
            began = time.perf_counter()
            times["call"] = timed(lambda: checkpoints.save(2, run, asynchronous=True))
            passes()
            times["step after"] = timed(optimizer.step)
            checkpoints.wait()
            times["asynchronous save"] = time.perf_counter() - began
            passes()
            times["step alone"] = timed(optimizer.step)
            times["stall"] = times["call"] + max(0.0, times["step after"] - times["step alone"])
            for name, spent in times.items() if number else ():  # the first round warms up
                found.setdefault(name, []).append(spent)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--folder", help="where the files go (default: the system's place for temporary files)"
    )
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # PyTorch's, of being alone
    found = measure(args.megabytes, args.rounds, args.folder)
    ratios = {
        "stall / save": [a / b for a, b in zip(found["stall"], found["save"], strict=True)],
        "stall / asynchronous save": [
            a / b for a, b in zip(found["stall"], found["asynchronous save"], strict=True)
        ],
        "save / PyTorch": [a / b for a, b in zip(found["save"], found["save torch"], strict=True)],
    }
    print(f"{args.megabytes} MB of parameters and state, medians of {args.rounds} rounds:")
    for name, each in found.items():
        print(f"  {name}: {statistics.median(each) * 1e3:.1f} ms")
    for name, each in ratios.items():
        print(f"  {name}: {statistics.median(each):.3f}")
    if args.output:
        medians = {name: statistics.median(each) for name, each in ratios.items()}
        record = {"megabytes": args.megabytes, "rounds": args.rounds, "seconds": found, "ratios": medians}
        args.output.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
