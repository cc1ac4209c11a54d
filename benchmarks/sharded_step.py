"""A training step with one copy of the optimizer's state (and of more), beside plain DistributedDataParallel.

python benchmarks/sharded_step.py [--ranks N] [--rounds N] [--output FILE.json]

In turns, in the same ranks: DistributedDataParallel, the same with ``shard_optimizer=True``, with
``ZeroRedundancyOptimizer``, ``fully_shard`` of each layer, and of the model as one. And what each of them keeps between
steps, over all ranks: parameters, gradients and state.
"""

import argparse
import statistics
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import ranks

MODELS = {
    "mlp 784-512-512-10 batch 64": ((784, 512, 512, 10), 64, 8),
    "mlp 1024-2048-2048-2048-10 batch 64": ((1024, 2048, 2048, 2048, 10), 64, 1),
}
OPTIMIZERS = {"SGD with momentum": ("SGD", {"lr": 0.01, "momentum": 0.9}), "AdamW": ("AdamW", {"lr": 1e-3})}
PLAIN = "DistributedDataParallel"
WAYS = (PLAIN, "shard_optimizer", "ZeroRedundancyOptimizer", "fully_shard", "fully_shard, one unit")


def set_up(
    way: str, sizes: tuple[int, ...], batch: int, name: str, options: dict[str, Any]
) -> tuple[Any, ...]:
    """A model, its optimizer, and a function that does a step."""
    import distrt as torch
    from distrt import nn
    from distrt.distributed.fsdp import fully_shard
    from distrt.distributed.optim import ZeroRedundancyOptimizer
    from distrt.nn.parallel import DistributedDataParallel

    torch.manual_seed(0)
    layers = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    model: Any = nn.Sequential(*layers[:-1])
    kind = getattr(torch.optim, name)
    if way.startswith("fully_shard"):
        for layer in model if way == "fully_shard" else ():
            if isinstance(layer, nn.Linear):
                fully_shard(layer)
        fully_shard(model)
    else:
        model = DistributedDataParallel(model, shard_optimizer=way == "shard_optimizer")
    if way == "ZeroRedundancyOptimizer":
        optimizer: Any = ZeroRedundancyOptimizer(model.parameters(), kind, **options)
    else:
        optimizer = kind(model.parameters(), **options)
    inputs, targets = torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,))

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return model, optimizer, step


def measure(rounds: int) -> dict[str, Any]:
    """In every rank: milliseconds of each way in every round, and what is kept."""
    found: dict[str, Any] = {}
    for model_name, (sizes, batch, repeat) in MODELS.items():
        for optimizer_name, (name, options) in OPTIMIZERS.items():
            made = {way: set_up(way, sizes, batch, name, options) for way in WAYS}
            works: dict[str, Callable[[], None]] = {way: step for way, (_, _, step) in made.items()}
            times = ranks.in_turns(works, rounds, repeat, warm_up=3)
            kept = {way: kept_bytes(*each[:2]) for way, each in made.items()}
            found[f"{model_name}, {optimizer_name}"] = {"ms": times, "kept": kept}
            del made, works
    return found


def kept_bytes(model: Any, optimizer: Any) -> dict[str, int]:
    """Bytes on this machine, over all ranks: memory that several ranks have in common counts once."""
    import numpy as np

    import distrt.distributed as dist

    group = dist.group.WORLD
    mine = dict.fromkeys(("parameters", "gradients", "state"), 0)
    common = dict(mine)
    update = getattr(model, "_update", None)
    inner = getattr(optimizer, "optim", optimizer)
    state = [each for values in inner.state.values() for each in values.values()]
    whole = {"parameters": list(model.parameters()), "state": state}
    for kind, tensors in whole.items():
        mine[kind] = sum(_local(each).nbytes for each in tensors if hasattr(each, "dtype"))
    mine["gradients"] = sum(_local(each.grad).nbytes for each in model.parameters() if each.grad is not None)
    if update is not None:
        common["parameters"] = update.shared.nbytes
        common["state"] = mine["state"]
        common["gradients"] = sum(bucket.average.nbytes for bucket in model.reducer.buckets)
        mine = {"parameters": 0, "state": 0, "gradients": sum(b.buffer.nbytes for b in model.reducer.buckets)}
    summed = np.array(list(mine.values()), np.int64)
    group.all_reduce(summed)
    return {kind: int(value) + common[kind] for kind, value in zip(mine, summed, strict=True)}


def _local(tensor: Any) -> Any:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return local.detach().numpy()


def show(args: argparse.Namespace) -> dict[str, Any]:
    """The table."""
    found = ranks.run(__file__, args.ranks, args.rounds)
    print(f"{args.ranks} ranks on {ranks.cores()} cores, medians of {args.rounds} rounds")
    print(f"{'':58} {'ms':>8} {'of plain':>9}  MB kept: parameters, gradients, state")
    record: dict[str, Any] = {"ranks": args.ranks, "rounds": args.rounds, "cases": {}}
    for case, each in found.items():
        print(case)
        rows = {}
        for way, times in each["ms"].items():
            ratios = [one / plain for one, plain in zip(times, each["ms"][PLAIN], strict=True)]
            row = {"ms": statistics.median(times), "of_plain": statistics.median(ratios), **each["kept"][way]}
            rows[way] = row
            sizes = ", ".join(f"{row[kind] / 2**20:.1f}" for kind in ("parameters", "gradients", "state"))
            print(f"    {way:54} {row['ms']:8.3f} {row['of_plain']:9.2f}  {sizes}", flush=True)
        record["cases"][case] = rows
    return record


if __name__ == "__main__":
    ranks.main(__doc__, measure, show, rounds=31)
