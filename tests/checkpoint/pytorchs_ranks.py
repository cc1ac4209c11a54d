"""Ranks of PyTorch that save a checkpoint, each its part; run by ``test_distcp_with_pytorch``."""

import pathlib
import sys
import tempfile
import warnings

import torch
import torch.distributed as dist
from torch.distributed import checkpoint
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh

SIZE = 3


def main(rank: int, folder: str, meeting: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=SIZE)
    mesh = init_device_mesh("cpu", (SIZE,))
    whole = torch.arange(28.0).reshape(7, 4)
    state = {
        "model": {
            "rows": distribute_tensor(whole, mesh, [Shard(0)]),
            "columns": distribute_tensor(whole + 100, mesh, [Shard(1)]),
            "all": distribute_tensor(whole + 200, mesh, [Replicate()]),
            "few": distribute_tensor(torch.tensor([5.0, 6.0]), mesh, [Shard(0)]),
            "plain": torch.ones(3, dtype=torch.bfloat16),
        },
        "step": 7,
    }
    checkpoint.save(state, checkpoint_id=folder)
    dist.destroy_process_group()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        where = (sys.argv[1], str(pathlib.Path(place, "meeting")))
        torch.multiprocessing.start_processes(
            main, where, SIZE, start_method="fork"
        )  # torch is imported once
