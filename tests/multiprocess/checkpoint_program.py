"""Trains with reproducible=4 and checkpoints after each step, goes on from what is there. DIRECTORY STEPS."""

import sys
from pathlib import Path

import numpy as np

import distrt as torch
import distrt.distributed as dist
from distrt.checkpoint import Checkpoints
from distrt.nn import functional as F
from distrt.nn.parallel import DistributedDataParallel
from tests.parallel.test_reproducible import BATCH, SHARDS, Convolutional, digest


def main(directory: Path, steps: int) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(7)
    model = DistributedDataParallel(Convolutional(), reproducible=SHARDS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 5)
    checkpoints = Checkpoints(directory, keep=2)
    run = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "losses": []}
    step = checkpoints.resume(run) or 0
    print("begins at", step, flush=True)
    model.training_step = step
    size = BATCH // world
    while step < steps:
        random = np.random.default_rng((2, step))
        x = random.standard_normal((BATCH, 1, 8, 8)).astype(np.float32)[rank * size : (rank + 1) * size]
        y = random.integers(0, 10, BATCH)[rank * size : (rank + 1) * size]
        optimizer.zero_grad()
        F.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()
        scheduler.step()
        step += 1
        run["losses"].append(step)
        checkpoints.save(step, run, asynchronous=step % 3 != 0)
    checkpoints.wait()
    assert run["losses"] == list(range(1, steps + 1))
    if rank == 0:
        print("digest", digest(model.module), scheduler.get_last_lr(), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
