"""What running a program costs beside running its Python, on layers so small that nothing else counts.

    python benchmarks/jit_overhead.py

Processor time of one call, in turns; the median of the rounds, with the least and the most.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import distrt
from distrt import nn
from distrt.nn import functional as F

ROUNDS, CALLS = 9, 300


class Model(nn.Module):
    """Twenty layers of 16 values, a loop and a branch."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x):  # type: ignore[no-untyped-def]
        for i in range(10):
            y = F.relu(self.first(x)) * 2 + i
            x = self.second(y) if i % 2 == 0 else y - 1
        return x.sum()


def _microseconds(function: Any, x: Any, calls: int = CALLS) -> float:
    begun = time.process_time()
    for _ in range(calls):
        function(x)
    return (time.process_time() - begun) / calls * 1e6


def main() -> None:
    """Prints one line for each form."""
    model, x = Model(), distrt.randn(4, 16)
    forms = {"Python": model, "script": distrt.jit.script(model), "trace": distrt.jit.trace(model, x)}
    for function in forms.values():
        _microseconds(function, x, 50)
    found: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, function in forms.items():
            found[name].append(_microseconds(function, x))
    plain = statistics.median(found["Python"])
    for name, times in found.items():
        middle = statistics.median(times)
        print(
            f"{name:8} {middle:6.1f} us  ({min(times):.1f} to {max(times):.1f})  {middle / plain:.2f} x Python"
        )


if __name__ == "__main__":
    main()
