"""Trains with reproducible=4 and saves after each step; goes on from what is saved. DIRECTORY STEPS KIND."""

import os
import pickle
import sys
from pathlib import Path

import numpy as np

import distrt as torch
import distrt.distributed as dist
from distrt.nn import functional as F
from distrt.nn.parallel import DistributedDataParallel
from distrt.utils.data import DataLoader, TensorDataset
from distrt.utils.data.distributed import DistributedSampler
from tests.parallel.test_reproducible import BATCH, SHARDS, Convolutional, digest

PER_EPOCH = 3


def main(directory: Path, steps: int) -> None:
    dist.init_process_group("gloo")
    rank, world = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(7)
    random = np.random.default_rng(2)
    images = torch.from_numpy(random.standard_normal((PER_EPOCH * BATCH, 1, 8, 8)).astype(np.float32))
    data = TensorDataset(images, torch.from_numpy(random.integers(0, 10, len(images))))
    sampler = DistributedSampler(data, seed=3, virtual_shards=SHARDS, batch_size=BATCH // world)
    loader = DataLoader(data, batch_size=BATCH // world, sampler=sampler)

    model = Convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    saved = directory / "saved.pickle"
    step = 0
    if saved.exists():
        state = pickle.loads(saved.read_bytes())
        step = state["step"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    model = DistributedDataParallel(model, reproducible=SHARDS)
    model.training_step = step
    while step < steps:
        sampler.set_epoch(step // PER_EPOCH)
        for place, (x, y) in enumerate(loader):
            if place < step % PER_EPOCH or step == steps:
                continue
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            step += 1
            if rank == 0:
                state = {
                    "step": step,
                    "model": model.module.state_dict(),
                    "optimizer": optimizer.state_dict(),
                }
                whole = saved.with_suffix(".new")
                whole.write_bytes(pickle.dumps(state))
                os.replace(whole, saved)
            print("step", step, flush=True)
    if rank == 0:
        print("digest", digest(model.module), flush=True)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
