"""Runs for the tests of checkpoints: small models that train, with all that a resume needs."""

import random

import numpy as np

import distrt as torch
from distrt import nn

WIDTH = 8


class Run:
    """A model with dropout and batch statistics, its optimizer, schedule, scaler and a generator of its own."""

    def __init__(self, wrap=lambda model: model, optimizer="Adam", seed=0):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        net = nn.Sequential(
            nn.Linear(WIDTH, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 5), nn.Linear(5, 2)
        )
        self.model = wrap(net)
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), lr=0.01)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 3, gamma=0.5)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
        self.noise = torch.Generator().manual_seed(3)
        self.parts = {
            "model": self.model,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
            "noise": self.noise,
            "config": {"width": WIDTH, "names": ["a", "b"], "betas": (0.9, 0.999), "rate": float("inf")},
        }

    def steps(self, count):
        """Trains; gives the losses."""
        losses = []
        for _ in range(count):
            x = torch.randn(4, WIDTH, generator=self.noise) + random.random() + float(np.random.rand())
            self.optimizer.zero_grad()
            loss = self.model(x).square().mean()
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
            losses.append(loss.item())
        return losses


def same(mine, theirs):
    """True for two states that are equal bit by bit, containers and all."""
    if isinstance(mine, torch.Tensor):
        return mine.dtype == theirs.dtype and mine.numpy().tobytes() == theirs.numpy().tobytes()
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list | tuple):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    return mine == theirs
