"""Do losses follow PyTorch's? 200 steps of the models of `training_steps.py`, from the same weights and batches.

python benchmarks/losses.py [--models resnet18 …] [--dtypes f32 …] [--steps N] [--output FILE.json]

Three courses for each model, in one process of one thread each: PyTorch's from weights of seed 0, distrt's from the
same weights, and PyTorch's from weights of seed 1. Losses are averaged over ten steps, since those of single batches
jump. What lies between the first two courses is compared with what lies between the first and the third.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from importlib import import_module
from itertools import product
from pathlib import Path

import models
import numpy as np
from training_steps import DTYPES, MODELS, ONE_THREAD, optimizer_of

WINDOW = 10  # steps


def batch_of(model: str, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of a step: of something that can be learnt."""
    rng = np.random.default_rng((7, step))
    if model == "resnet18":
        targets = rng.integers(0, 10, 16)
        patterns = np.random.default_rng(1).standard_normal((10, 3, 32, 32))
        return (patterns[targets] + rng.standard_normal((16, 3, 32, 32))).astype(np.float32), targets
    if model in ("gpt", "lstm"):
        words, batch, length = (256, 8, 128) if model == "gpt" else (1000, 32, 64)
        after = np.random.default_rng(1).permutation(words)
        text = rng.integers(0, words, (batch, length + 1))
        for place in range(length):  # nine words of ten follow from the one before
            follows = rng.random(batch) < 0.9
            text[follows, place + 1] = after[text[follows, place]]
        return text[:, :-1].copy(), text[:, 1:].reshape(-1)
    targets = np.zeros((4, 64, 64), np.int64)
    for each in targets:
        top, left, height, width = rng.integers(8, 32, 4)
        each[top : top + height, left : left + width] = 1
    return (targets[:, None] + rng.standard_normal((4, 3, 64, 64))).astype(np.float32), targets


def course(library_name: str, case: str, steps: int, weights: str, losses: str) -> None:
    """In a process of its own: trains from the weights in a file, and writes every step's loss."""
    library = import_module(library_name)
    library.set_num_threads(1)
    model_name, dtype = case.split()
    model = getattr(models, model_name)(library)
    model.load_state_dict(library.load(weights))
    optimizer = optimizer_of(library, model_name, model)
    found = []
    for step in range(steps):
        inputs, targets = map(library.from_numpy, batch_of(model_name, step))
        optimizer.zero_grad()
        with library.autocast("cpu", dtype=library.bfloat16) if dtype == "bf16" else nullcontext():
            loss = library.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    Path(losses).write_text(json.dumps(found))


def run(library: str, case: str, steps: int, weights: Path) -> np.ndarray:
    """The losses of a course, averaged over windows."""
    losses = weights.with_suffix(".json")
    arguments = [library, case, str(steps), str(weights), str(losses)]
    subprocess.run(
        [sys.executable, __file__, "--course", *arguments],
        env={**os.environ, **ONE_THREAD},
        check=True,
        timeout=3600,
    )
    return np.array(json.loads(losses.read_text())).reshape(-1, WINDOW).mean(1)


def measure(case: str, steps: int, folder: Path) -> dict[str, object]:
    """One case's row."""
    import torch

    weights = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        weights.append(folder / f"{seed}.pt")
        torch.save(getattr(models, case.split()[0])(torch).state_dict(), weights[-1])
    first = run("torch", case, steps, weights[0])
    ours = run("distrt", case, steps, weights[0])
    other = run("torch", case, steps, weights[1])
    return {
        "case": case,
        "steps": steps,
        "torch": first.tolist(),
        "distrt": ours.tolist(),
        "torch_other_seed": other.tolist(),
        "apart": float(np.abs(first - ours).mean()),
        "seeds_apart": float(np.abs(first - other).mean()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--dtypes", nargs="+", default=["f32"], choices=DTYPES)
    parser.add_argument("--steps", type=int, default=200, help=f"a multiple of {WINDOW}")
    parser.add_argument("--output", type=Path, help="a JSON file for the record")
    parser.add_argument("--course", nargs=5, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.steps < WINDOW or args.steps % WINDOW:
        parser.error(f"--steps must be a multiple of {WINDOW}, got {args.steps}")
    if args.course:
        library, case, steps, weights, losses = args.course
        course(library, case, int(steps), weights, losses)
        return
    print(
        f"{'case':>14} {'first':>7} {'last: PyTorch':>14} {'distrt':>7} {'apart':>8} {'two seeds apart':>16}"
    )
    rows = []
    for dtype, model in product(args.dtypes, args.models):
        with tempfile.TemporaryDirectory() as folder:
            row = measure(f"{model} {dtype}", args.steps, Path(folder))
        rows.append(row)
        print(
            f"{row['case']:>14} {row['torch'][0]:7.3f} {row['torch'][-1]:14.4f} {row['distrt'][-1]:7.4f}"
            f" {row['apart']:8.5f} {row['seeds_apart']:16.5f}",
            flush=True,
        )
    if args.output:
        args.output.write_text(json.dumps({"window": WINDOW, "cases": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
