"""A training script as a user writes it: nothing in it knows of Slurm. Each rank leaves what it has seen in a file."""

import json
import os
import sys
from pathlib import Path

import distrt as torch
import distrt.distributed as dist
from distrt import nn
from distrt.nn.parallel import DistributedDataParallel

dist.init_process_group()
rank, size = dist.get_rank(), dist.get_world_size()
total = torch.full((5,), float(rank + 1))
dist.all_reduce(total)
everybody = [None] * size
dist.all_gather_object(everybody, [rank, os.environ.get("SLURM_PROCID"), os.environ.get("SLURMD_NODENAME")])

torch.manual_seed(rank)
model = DistributedDataParallel(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(5):
    features = torch.randn(4, 8)  # every rank has data of its own
    loss = (model(features) - features.sum(1, keepdim=True)).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())

seen = {
    "rank": rank,
    "world_size": size,
    "total": total.tolist(),
    "everybody": everybody,
    "losses": losses,
    "parameters": [parameter.tolist() for parameter in model.parameters()],
    "transport": dist.group.WORLD.transport.kind if size > 1 else "solo",
    "master_addr": os.environ.get("MASTER_ADDR"),
}
Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(seen))
dist.destroy_process_group()
