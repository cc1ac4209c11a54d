"""What the ranks of the training tests run: ``python programs.py equivalence MODEL STEPS OUTPUT``, or ``endless``."""

import hashlib
import sys

import numpy as np

import distrt as torch
import distrt.distributed as dist
from distrt.parallel import DistributedDataParallel
from tests.parallel.models import batches, make, train


def equivalence(name, steps, output):
    """Trains on this rank's part of every batch; rank 0 writes the parameters, every rank prints their hash."""
    dist.init_process_group()
    rank, world_size = dist.get_rank(), dist.get_world_size()
    model = DistributedDataParallel(make(name, seed=rank), bucket_cap_mb=1e-3)
    trained = train(model, batches(name, int(steps)), rank, world_size)
    print(hashlib.sha256(b"".join(trained[key].tobytes() for key in sorted(trained))).hexdigest())
    if rank == 0:
        np.savez(output, **trained)
    dist.destroy_process_group()


def endless():
    """Trains until it is killed; says when it has begun."""
    dist.init_process_group()
    model = DistributedDataParallel(torch.nn.Linear(64, 64))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    print("training")
    while True:
        optimizer.zero_grad()
        model(torch.ones(4, 64)).sum().backward()
        optimizer.step()


if __name__ == "__main__":
    {"equivalence": equivalence, "endless": endless}[sys.argv[1]](*sys.argv[2:])
