"""What does splitting a model over the ranks cost? Steps of ``fully_shard`` and of DistributedDataParallel, in turns.

python benchmarks/fully_shard_step.py [--ranks N] [--rounds N] [--output FILE.json]

Both train the same model with AdamW: a multi-layer perceptron of 10 million parameters, and a transformer of 4 layers
of width 256. Under ``fully_shard`` every layer is a unit, and an optimizer has its rank's part of the parameters.
"""

import argparse
from collections.abc import Callable
from typing import Any

from ranks import compare, in_turns, main, run


def perceptron(torch: Any) -> tuple[Any, list[Any], Any, Any]:
    nn = torch.nn
    pairs = ((1024, 2048), (2048, 2048), (2048, 1536), (1536, 256))
    layers = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in pairs]
    return nn.Sequential(*layers), layers, torch.randn(32, 1024), torch.randint(0, 256, (32,))


def transformer(torch: Any) -> tuple[Any, list[Any], Any, Any]:
    nn = torch.nn

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(1000, 256)
            self.layers = nn.ModuleList(
                nn.TransformerEncoderLayer(256, 4, 1024, 0.0, batch_first=True) for _ in range(4)
            )
            self.head = nn.Linear(256, 1000)

        def forward(self, x: Any) -> Any:
            x = self.tokens(x)
            for layer in self.layers:
                x = layer(x)
            return self.head(x.mean(1))

    model = Model()
    return model, list(model.layers), torch.randint(0, 1000, (4, 64)), torch.randint(0, 1000, (4,))


MODELS = {"mlp of 10 M": perceptron, "transformer, 4 x 256": transformer}


def measure(rounds: int) -> dict[str, Any]:
    import distrt as torch
    from distrt.distributed.fsdp import fully_shard
    from distrt.nn.parallel import DistributedDataParallel

    def stepper(make: Any, is_sharded: bool) -> Callable[[], None]:
        torch.manual_seed(0)
        model, layers, inputs, targets = make(torch)
        if is_sharded:
            for each in (*layers, model):
                fully_shard(each)
        else:
            model = DistributedDataParallel(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

        def step() -> None:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(inputs), targets).backward()
            optimizer.step()

        return step

    record = {}
    for name, make in MODELS.items():
        works = {"ddp": stepper(make, is_sharded=False), "fully_shard": stepper(make, is_sharded=True)}
        found = in_turns(works, rounds, repeat=3, warm_up=4)
        record[name] = list(zip(found["ddp"], found["fully_shard"], strict=True))
    return record


def show(args: argparse.Namespace) -> dict[str, Any]:
    print(f"{args.ranks} ranks, AdamW, medians of {args.rounds} rounds:")
    return {
        "ranks": args.ranks,
        "cases": compare(run(__file__, args.ranks, args.rounds), "ddp", "fully_shard"),
    }


if __name__ == "__main__":
    main(__doc__, measure, show, rounds=15)
