"""A model with batch statistics, and its training on the parts of a batch that is divided unevenly."""

import itertools

import numpy as np

import distrt as torch
from distrt import nn


def parts(division):
    bounds = list(itertools.accumulate(division, initial=0))
    return [slice(*each) for each in itertools.pairwise(bounds)]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 3, 2), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(3 * 3 * 3, 2)
        self.norm = nn.BatchNorm1d(2, momentum=None)

    def forward(self, x):
        return self.norm(self.head(self.body(x)))


def trained(model, divisions, rank=0, world_size=1):
    """SGD on this rank's part of each batch, with the gradients of the mean over the whole batch."""
    rng = np.random.default_rng(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for division in divisions:
        inputs, targets = rng.standard_normal((8, 1, 4, 4)), rng.integers(0, 2, 8)
        part = parts(division)[rank] if world_size > 1 else slice(None)
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(
            model(torch.from_numpy(inputs[part])), torch.from_numpy(targets[part]), reduction="sum"
        )
        (loss * world_size / 8).backward()
        optimizer.step()
    return {name.removeprefix("module."): each.numpy().copy() for name, each in model.state_dict().items()}


def net():
    torch.manual_seed(0)
    return Net().double()
