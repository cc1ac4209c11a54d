"""Models and loops for the tests of sharded training: what a rank does under each wrapper, step by step."""

import numpy as np

import distrt as torch
from distrt import nn
from distrt.comm.world import set_default_group
from distrt.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from distrt.distributed.fsdp import fully_shard
from distrt.parallel import DistributedDataParallel
from distrt.utils.checkpoint import checkpoint

WIDTH = 8


class Tied(nn.Module):
    """A weight that the first and the last layer share, and a layer used twice."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.block = nn.Linear(WIDTH, WIDTH)
        self.last = nn.Linear(WIDTH, WIDTH, bias=False)
        self.last.weight = self.first.weight

    def forward(self, x):
        x = torch.tanh(self.first(x))
        return self.last(torch.tanh(self.block(torch.tanh(self.block(x)))))


class Branches(nn.Module):
    """Each rank takes another branch, and nobody the last one."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(WIDTH, WIDTH)
        self.branches = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(5)])
        self.rank = 0

    def forward(self, x):
        return self.branches[self.rank % 4](torch.relu(self.stem(x)))


class Checkpointed(nn.Module):
    """Layers of which the inner ones are computed anew in backward."""

    def __init__(self, use_reentrant):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(WIDTH, WIDTH) for _ in range(4)])
        self.use_reentrant = use_reentrant

    def forward(self, x):
        x = self.layers[0](x)
        for layer in self.layers[1:-1]:
            x = checkpoint(lambda y, layer=layer: torch.tanh(layer(y)), x, use_reentrant=self.use_reentrant)
        return self.layers[-1](x)


def transformer():
    layer = nn.TransformerEncoderLayer(WIDTH, 2, 16, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)


def wrapped():
    """Units that are wrappers: what backward repeats is inside, and its call is none of a unit's."""
    inner = (nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WIDTH), nn.Tanh()) for _ in range(3))
    return nn.Sequential(*map(checkpoint_wrapper, inner))


def mlp():
    return nn.Sequential(nn.Linear(WIDTH, 32), nn.Tanh(), nn.Linear(32, 7), nn.ReLU(), nn.Linear(7, WIDTH))


def deep():
    return nn.Sequential(*[layer for _ in range(8) for layer in (nn.Linear(WIDTH, WIDTH), nn.Tanh())])


#: name -> (model, its units below the root, each a module or a list of them)
MODELS = {
    "mlp": (mlp, lambda model: [model[0], model[2], model[4]]),
    "deep": (deep, lambda model: [each for each in model if isinstance(each, nn.Linear)]),
    "transformer": (transformer, lambda model: list(model.layers)),
    "tied": (Tied, lambda model: [[model.first, model.last], model.block]),
    "branches": (Branches, lambda model: list(model.branches)),
    "checkpointed": (lambda: Checkpointed(use_reentrant=False), lambda model: list(model.layers)),
    "wrapped": (wrapped, list),
    "reentrant": (lambda: Checkpointed(use_reentrant=True), lambda model: list(model.layers)),
}


def make(name, dtype=torch.float64, seed=0):
    torch.manual_seed(seed)
    return MODELS[name][0]().to(dtype)


def sharded(name, dtype=torch.float64, **options):
    """The model, every unit and the root sharded."""
    model = make(name, dtype)
    for unit in MODELS[name][1](model):
        fully_shard(unit, **options)
    return fully_shard(model, **options)


def batches(name, steps, dtype=torch.float64):
    """The same global batches for everyone, of 12 samples."""
    rng = np.random.default_rng(3)
    shape = (12, 5, WIDTH) if name == "transformer" else (12, WIDTH)
    return [torch.from_numpy(rng.standard_normal(shape)).to(dtype) for _ in range(steps)]


def part_of(batch, group):
    size = len(batch) // group.size()
    return batch[group.rank() * size : (group.rank() + 1) * size]


def loss_of(model, batch, group):
    if hasattr(model, "rank"):
        model.rank = group.rank()
    return (model(part_of(batch, group)) ** 2).mean()


def train(model, name, group, steps=4, kind=torch.optim.AdamW, dtype=torch.float64, **options):
    """Train on this rank's part of every batch."""
    optimizer = kind(model.parameters(), **{"lr": 0.05, **options})
    for batch in batches(name, steps, dtype):
        optimizer.zero_grad()
        loss_of(model, batch, group).backward()
        optimizer.step()
    return optimizer


def values(model):
    """All parameters, whole, as arrays; all ranks call."""
    return [
        np.array((p.full_tensor() if hasattr(p, "full_tensor") else p).detach().numpy())
        for p in model.parameters()
    ]


def join(group):
    set_default_group(group)
    return group


def data_parallel(name, group, dtype=torch.float64):
    model = make(name, dtype)
    if hasattr(model, "rank"):
        model.rank = group.rank()
    return DistributedDataParallel(
        model, process_group=group, find_unused_parameters=name == "branches", static_graph=False
    )
