"""A model that tensor parallelism has cut, split by ``fully_shard``: a script for ``side_by_side``."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


def model_of():
    model = nn.Sequential(Block(), Block(), nn.Linear(8, 4)).double()
    with torch.no_grad():
        for number, each in enumerate(model.parameters()):
            each.copy_(torch.cos(torch.arange(each.numel()).double() * (number + 1)).reshape(each.shape) / 3)
    return model


def cut_and_sharded(mesh, data="dp", **options):
    model = model_of()
    for block in list(model)[:2]:
        parallelize_module(block, mesh["tp"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
        fully_shard(block, mesh=mesh[data], **options)
    parallelize_module(model[2], mesh["tp"], ColwiseParallel(output_layouts=Replicate()))
    fully_shard(model, mesh=mesh[data], **options)
    return model


def batch_of(step, rank):
    return torch.sin(torch.arange(24).double() * (1 + step + 7 * rank)).reshape(3, 8)


def trained(model, rank, steps=3):
    """Losses, and whole parameters at the end."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for step in range(steps):
        loss = model(batch_of(step, rank)).square().mean()
        loss.backward()
        cut = [each for each in model.parameters() if isinstance(each, DTensor) and each.device_mesh.ndim > 1]
        losses.append(round(loss.item(), 9))
        if cut:
            norm = nn.utils.clip_grad_norm_(cut, 0.5)
            losses.append(round((norm.full_tensor() if isinstance(norm, DTensor) else norm).item(), 9))
        optimizer.step()
        optimizer.zero_grad()
    return losses


if __name__ == "__main__":
    dist.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))
    model = cut_and_sharded(mesh)
    for name, each in model.named_parameters():
        print(name, each.placements, tuple(each.to_local().shape), tuple(each.shape))
    print(trained(model, mesh["dp"].get_local_rank()))
    for name, each in model.named_parameters():
        print(name, [round(value, 9) + 0.0 for value in each.full_tensor().flatten().tolist()])
    dist.barrier()
    dist.destroy_process_group()
