"""What does a profile cost? A training step without one, with annotations and steps alone, and with every operation.

python benchmarks/profiling.py [--rounds N] [--output FILE.json]

A transformer layer of width 256 with AdamW; beside it PyTorch's profiler around the same step.
"""

import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

from overhead import Case, main

WAYS: dict[str, dict[str, bool]] = {
    "annotations": {"sees_operations": False},
    "operations": {},
    "operations, shapes, memory": {"record_shapes": True, "profile_memory": True},
}


def a_step(library: Any) -> Callable[[], None]:
    nn = library.nn
    library.manual_seed(0)
    width = 256
    layer = nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(width, width))
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = library.randn(8, 128, width)
    record = library.profiler.record_function

    def step() -> None:
        optimizer.zero_grad()
        with record("forward"):
            loss = model(inputs).square().mean()
        with record("backward"):
            loss.backward()
        optimizer.step()

    return step


def cases() -> Iterator[Case]:
    for name in ("distrt", "torch"):
        if not importlib.util.find_spec(name):
            continue
        library = import_module(name)
        library.set_num_threads(1)
        step = a_step(library)
        for way, options in WAYS.items():
            if name == "distrt" or "sees_operations" not in options:  # distrt's own
                profile = partial(library.profiler.profile, **options)
                yield Case(f"{name}, {way}", step, profile, repeat=10)


if __name__ == "__main__":
    main(__doc__, cases, rounds=15)
