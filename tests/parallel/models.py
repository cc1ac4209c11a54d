"""Small models without batch statistics, and the training loops that tests compare."""

import numpy as np

import distrt as torch
from distrt import nn


class TiedWeights(nn.Module):
    """One layer used twice, and a parameter used directly."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.scale = nn.Parameter(torch.ones(6))
        self.last = nn.Linear(6, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.first(torch.tanh(self.first(x)))) * self.scale)


def mlp():
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3))


def cnn():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 2),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


MODELS = {"mlp": (mlp, (6,)), "cnn": (cnn, (1, 4, 4)), "tied": (TiedWeights, (6,))}
GLOBAL_BATCH = 8


def make(name, seed=0):
    torch.manual_seed(seed)
    return MODELS[name][0]().double()


def batches(name, steps):
    """The same inputs and targets for everyone."""
    rng = np.random.default_rng(7)
    shape = MODELS[name][1]
    return [
        (rng.standard_normal((GLOBAL_BATCH, *shape)), rng.integers(0, 3, GLOBAL_BATCH)) for _ in range(steps)
    ]


def train(model, data, rank=0, world_size=1, momentum=0.9):
    """SGD on this rank's part of every batch; returns the parameters by name."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
    for inputs, targets in data:
        optimizer.zero_grad()
        part = slice(rank * GLOBAL_BATCH // world_size, (rank + 1) * GLOBAL_BATCH // world_size)
        outputs = model(torch.from_numpy(inputs[part]))
        nn.functional.cross_entropy(outputs, torch.from_numpy(targets[part])).backward()
        optimizer.step()
    return {name.removeprefix("module."): p.detach().numpy().copy() for name, p in model.named_parameters()}
