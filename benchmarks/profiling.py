"""What a profile costs: a training step without one, with annotations and steps alone, and with every operation.

python benchmarks/profiling.py [--rounds N]

In turns, in one process, by processor time; beside it PyTorch's profiler around the same step.
"""

import argparse
import importlib.util
import statistics
import time
from importlib import import_module

WAYS = {
    "annotations": {"sees_operations": False},
    "operations": {},
    "operations, shapes, memory": {"record_shapes": True, "profile_memory": True},
}


def a_step(library):
    nn = library.nn
    library.manual_seed(0)
    width = 256
    layer = nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True)
    model = nn.Sequential(layer, nn.Linear(width, width))
    optimizer = library.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = library.randn(8, 128, width)
    record = import_module(f"{library.__name__}.profiler").record_function

    def step():
        optimizer.zero_grad()
        with record("forward"):
            loss = model(inputs).square().mean()
        with record("backward"):
            loss.backward()
        optimizer.step()

    return step


def seconds(step, repeat):
    began = time.process_time()
    for _ in range(repeat):
        step()
    return (time.process_time() - began) / repeat


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    for name in ("distrt", "torch"):
        if not importlib.util.find_spec(name):
            continue
        library = import_module(name)
        library.set_num_threads(1)
        step, repeat = a_step(library), 10
        seconds(step, 30)
        profile = import_module(f"{name}.profiler").profile
        ways = {
            way: options
            for way, options in WAYS.items()
            if name == "distrt" or "sees_operations" not in options
        }
        ratios = {way: [] for way in ways}
        for _ in range(args.rounds):
            for way, options in ways.items():
                plain = seconds(step, repeat)
                with profile(**options):
                    ratios[way].append(seconds(step, repeat) / plain)
        for way, found in ratios.items():
            print(f"{name:7} {way:28} {statistics.median(found):6.3f} ({min(found):.3f} - {max(found):.3f})")


if __name__ == "__main__":
    main()
