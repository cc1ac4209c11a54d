"""Training on a GPU beside the CPU: the same losses with each optimizer, under autocast, with a scaler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt import nn

OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    "RMSprop": lambda parameters: torch.optim.RMSprop(
        parameters, lr=0.001
    ),  # its first step is ten times that
    "Adagrad": torch.optim.Adagrad,
    "Rprop": torch.optim.Rprop,
}


def convolutional() -> Any:
    """Images into one of ten classes."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )


class Reader(nn.Module):
    """Words into one of ten classes, by an LSTM and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.lstm = nn.Embedding(50, 16), nn.LSTM(16, 16, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.out = nn.Linear(16, 10)

    def forward(self, numbers: Any) -> Any:
        """Numbers of words, (N, T)."""
        return self.out(self.layer(self.lstm(self.words(numbers))[0]).mean(1))


def losses(make: Callable[[], Any], optimizer: Callable[[Any], Any], place: Any, amp: Any) -> list[float]:
    """Of five steps from the same start."""
    torch.manual_seed(0)
    model = make()
    numbers = torch.randint(0, 50, (4, 6)) if isinstance(model, Reader) else torch.randn(4, 3, 8, 8)
    targets = torch.tensor([1, 2, 3, 4])
    model.to(place)
    numbers, targets = numbers.to(place), targets.to(place)
    steps, scaler = (
        optimizer(model.parameters()),
        torch.amp.GradScaler(place.type, enabled=amp is torch.float16),
    )
    found = []
    for _ in range(5):
        steps.zero_grad()
        with torch.autocast(place.type, dtype=amp or torch.bfloat16, enabled=amp is not None):
            loss = F.cross_entropy(model(numbers), targets)
        scaler.scale(loss).backward()
        scaler.unscale_(steps)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(steps)
        scaler.update()
        found.append(loss.item())
    assert all(each.device == place for each in model.parameters())
    assert all(each.grad is None or each.grad.device == place for each in model.parameters())
    return found


def main() -> int:
    """Compares all; returns how many differ."""
    cpu, gpu, failed = torch.device("cpu"), torch.device("cuda:0"), 0
    for make in (convolutional, Reader):
        for name, optimizer in OPTIMIZERS.items():
            for amp, tolerance in ((None, 1e-4), (torch.bfloat16, 0.05), (torch.float16, 0.05)):
                pair = [losses(make, optimizer, place, amp) for place in (cpu, gpu)]
                if not np.allclose(*pair, rtol=tolerance, atol=tolerance):
                    failed += 1
                    print(f"FAILED {make.__name__} {name} {amp}: {pair}")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
