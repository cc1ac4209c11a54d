"""Sharded models on GPUs beside those on the CPU: the same losses and the same parameters, by every way."""

from __future__ import annotations

import gc
import io
import shutil
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.distributed.checkpoint as checkpoints
import distrt.nn.functional as F
from distrt import nn
from distrt.comm.functions.gpu import give_lane
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import set_default_group
from distrt.core.modes import modes
from distrt.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from distrt.distributed.fsdp import (
    CPUOffload,
    CPUOffloadPolicy,
    FullStateDictConfig,
    FullyShardedDataParallel,
    MixedPrecisionPolicy,
    StateDictType,
    fully_shard,
)
from distrt.distributed.fsdp.sharded_grad_scaler import ShardedGradScaler
from distrt.utils.checkpoint import checkpoint

WIDTH = 6


class Net(nn.Module):
    """A stem, blocks that are units, and a head that uneven ranks share; one block is used now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(WIDTH, 11)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(11), nn.Linear(11, 11), nn.GELU()) for _ in range(4)
        )
        self.head = nn.Linear(11, 5)
        self.register_buffer("shift", torch.ones(WIDTH))
        self.again = False  # blocks are computed anew in backward
        self.left_out: set[int] = set()

    def forward(self, x: Any) -> Any:
        """Shape: (N, 6) -> (N, 5)."""
        x = self.stem(x + self.shift.to(x.dtype))
        for number, block in enumerate(self.blocks):
            if number not in self.left_out:
                x = x + (checkpoint(block, x, use_reentrant=False) if self.again else block(x))
        return self.head(x)


Made = tuple[Any, Any]


def mesh_like(model: Any) -> Any:
    """All ranks, with what the model is on."""
    kind = next(model.parameters()).device.type
    return torch.distributed.init_device_mesh(kind, (torch.distributed.get_world_size(),))


def sharded(model: Net, **options: Any) -> Made:
    """Every block a unit, and the rest one."""
    options.setdefault("mesh", mesh_like(model))
    for block in model.blocks:
        fully_shard(block, **options)
    fully_shard(model, **options)
    return model, torch.optim.AdamW(model.parameters(), lr=0.01)


def wrapped(model: Net, **options: Any) -> Made:
    """FSDP's first form."""
    policy = lambda module, recurse, nonwrapped_numel: recurse or isinstance(module, nn.Sequential)
    mesh = mesh_like(model)
    whole = FullyShardedDataParallel(
        model, auto_wrap_policy=policy, use_orig_params=True, device_mesh=mesh, **options
    )
    return whole, torch.optim.AdamW(whole.parameters(), lr=0.01)


def step(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Forward, backward, step."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    optimizer.step()
    return loss


def clipped(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """With the norm over all ranks."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
    return loss + norm.full_tensor().to(loss.device)


def accumulated(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Two passes, of which the second reduces."""
    optimizer.zero_grad()
    model.set_requires_gradient_sync(False)
    F.cross_entropy(model(x * 0.5), target).backward()
    model.set_requires_gradient_sync(True)
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    optimizer.step()
    return loss


def unsynchronised(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """The same by FSDP's first form, whose whole states are on the CPU where asked for."""
    kind = StateDictType.FULL_STATE_DICT
    with FullyShardedDataParallel.state_dict_type(model, kind, FullStateDictConfig(offload_to_cpu=True)):
        assert all(each.device.type == "cpu" for each in model.state_dict().values())
    optimizer.zero_grad()
    with model.no_sync():
        F.cross_entropy(model(x * 0.5), target).backward()
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    model.clip_grad_norm_(0.5)
    optimizer.step()
    return loss


def scaled(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """With a scaler; in the third step one rank's gradients overflow, and no rank takes it."""
    scaler = optimizer.__dict__.setdefault("scaler", ShardedGradScaler(x.device.type))
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), target)
    factor = float("inf") if number == 2 and torch.distributed.get_rank() == 1 else 1.0
    scaler.scale(loss * factor).backward()
    scaler.step(optimizer)
    scaler.update()
    assert (scaler.get_scale() < 65536) == (number >= 2), scaler.get_scale()
    return loss


def uneven(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Ranks leave out different blocks, and all of them one."""
    model.left_out = {1, 2 + torch.distributed.get_rank() % 2} if number else set()
    return step(model, optimizer, x, target, number)


def anew(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Blocks are computed anew in backward."""
    model.again = True
    return step(model, optimizer, x, target, number)


def evaluated(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """A pass without gradients in between, and a step of whole parameters by hand."""
    with torch.no_grad():
        before = F.cross_entropy(model(x), target)
    return step(model, optimizer, x, target, number) + before


def saved(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Whole states go through a file on rank 0, parts through one on each rank."""
    loss = step(model, optimizer, x, target, number)
    whole = StateDictOptions(full_state_dict=True, cpu_offload=True)
    found = get_state_dict(model, optimizer, options=whole)
    if torch.distributed.get_rank() == 0:
        assert all(each.device.type == "cpu" for each in found[0].values())
    file = io.BytesIO()
    torch.save(found, file)
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0)
    file.seek(0)
    given = torch.load(file, weights_only=False)
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_state_dict(model, optimizer, model_state_dict=given[0], optim_state_dict=given[1], options=options)
    file = io.BytesIO()
    torch.save((model.state_dict(), optimizer.state_dict()), file)
    file.seek(0)
    parts, states = torch.load(file, weights_only=False)
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0)
    model.load_state_dict(parts)
    optimizer.load_state_dict(states)
    return loss


def checkpointed(model: Any, optimizer: Any, x: Any, target: Any, number: int) -> Any:
    """Parts go through a folder that all ranks write to, at once or meanwhile."""
    loss = step(model, optimizer, x, target, number)
    folder = [tempfile.mkdtemp() if torch.distributed.get_rank() == 0 else None]
    torch.distributed.broadcast_object_list(folder, src=0)
    found = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
    if number % 2:
        checkpoints.save(found, checkpoint_id=folder[0])
    else:
        checkpoints.async_save(found, checkpoint_id=folder[0]).result()
    with torch.no_grad():
        for each in model.parameters():
            each.mul_(0)
    found = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
    checkpoints.load(found, checkpoint_id=folder[0])
    set_state_dict(model, optimizer, model_state_dict=found["model"], optim_state_dict=found["optimizer"])
    torch.distributed.barrier()
    if torch.distributed.get_rank() == 0:
        shutil.rmtree(folder[0])
    return loss


def late(model: Any, **options: Any) -> Made:
    """Cut on the CPU, and brought to the GPU then."""
    place = next(model.parameters()).device
    made, _ = sharded(model.cpu(), **options)
    made = made.to(place)
    return made, torch.optim.AdamW(made.parameters(), lr=0.01)


def brought(model: Any) -> Made:
    """Made on the CPU, and brought to the GPU by its mesh."""
    mesh = mesh_like(model)
    return sharded(model.cpu(), mesh=mesh)


def replicated(model: Any) -> Made:
    """Cut in a mesh of two dims."""
    place = next(model.parameters()).device
    names = ("replicate", "shard")
    size = torch.distributed.get_world_size()
    mesh = torch.distributed.init_device_mesh(place.type, (size, 1), mesh_dim_names=names)
    return sharded(model, mesh=mesh)


HALF = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
NARROW = MixedPrecisionPolicy(param_dtype=torch.float16)
Way = tuple[Callable[..., Any], Callable[[Any], Made], float]
WAYS: dict[str, Way] = {
    "plain": (step, sharded, 1e-4),
    "kept after forward": (step, lambda model: sharded(model, reshard_after_forward=False), 1e-4),
    "clipping": (clipped, sharded, 1e-4),
    "accumulation": (accumulated, sharded, 1e-4),
    "GradScaler": (scaled, sharded, 1e-4),
    "unused": (uneven, sharded, 1e-4),
    "checkpointed": (anew, sharded, 1e-4),
    "evaluation": (evaluated, sharded, 1e-4),
    "states": (saved, sharded, 1e-4),
    "checkpoints": (checkpointed, sharded, 1e-4),
    "bfloat16": (step, lambda model: sharded(model, mp_policy=HALF), 0.05),
    "float16": (step, lambda model: sharded(model, mp_policy=NARROW), 0.05),
    "offloaded": (step, lambda model: sharded(model, offload_policy=CPUOffloadPolicy()), 1e-4),
    "replicas": (step, replicated, 1e-4),
    "moved later": (step, late, 1e-4),
    "brought by the mesh": (step, brought, 1e-4),
    "FSDP1": (step, lambda model: wrapped(model, sync_module_states=True), 1e-4),
    "FSDP1, no_sync": (unsynchronised, wrapped, 1e-4),
    "FSDP1, offloaded": (step, lambda model: wrapped(model, cpu_offload=CPUOffload(True)), 1e-4),
}


def trained(
    place: Any, way: Callable[..., Any], make: Callable[[Any], Made]
) -> tuple[list[float], list[Any]]:
    """Losses and whole parameters of five steps."""
    torch.manual_seed(0)
    model, optimizer = make(Net().to(place))
    rng = np.random.default_rng(torch.distributed.get_rank())
    losses = []
    for number in range(5):
        x = torch.tensor(rng.standard_normal((4, WIDTH)), dtype=torch.float32).to(place)
        target = torch.tensor(rng.integers(0, 5, 4)).to(place)
        losses.append(way(model, optimizer, x, target, number).item())
    parts = [each.detach() for each in model.parameters()]
    return losses, [
        (each.full_tensor() if hasattr(each, "full_tensor") else each).cpu().numpy() for each in parts
    ]


def memory() -> int:
    """How many claims fail: what a step takes beside parts and their gradients is that of a few units."""
    width, count = 256, 20
    unit = 4 * (width * width + width)
    model = nn.Sequential(*[nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(count)]).cuda()
    for each in model:
        fully_shard(each)
    fully_shard(model)
    x = torch.ones(2, width).cuda()
    for _ in range(2):  # the order of units is known from the second pass on
        model(x).sum().backward()
        model.zero_grad()
    torch.cuda.synchronize()
    parts = count * unit / torch.distributed.get_world_size()
    deadline = (
        time.monotonic() + 10
    )  # the thread that watches has to look before the last gradients' memory is free
    while torch.cuda.memory_allocated() > 1.2 * parts and time.monotonic() < deadline:
        time.sleep(0.01)
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    loss = model(x).sum()
    forward = (torch.cuda.max_memory_allocated() - before) / unit
    loss.backward()
    backward = (torch.cuda.max_memory_allocated() - before - parts) / unit
    torch.cuda.synchronize()
    print(f"{before / parts:.2f} times the parts between steps")
    print(
        f"{forward:.2f} units more at most in forward, {backward:.2f} beside gradients in backward, of {count}"
    )
    return (before > 1.2 * parts) + (forward > 4) + (backward > 8)


def forgotten() -> int:
    """How many claims fail: when a model goes while it is whole, nobody looks any longer at what is recorded."""
    model = nn.Linear(4, 4).cuda()
    fully_shard(model, reshard_after_forward=False)
    model(torch.ones(1, 4).cuda())
    was_watched = modes.watch is not None
    del model
    gc.collect()
    torch.ones(1, requires_grad=True).exp()
    return (not was_watched) + (modes.watch is not None)


def main(group: ProcessGroup, backend: str = "cpu:gloo,cuda:nccl", only: str = "") -> None:
    """Compares all; prints what differs."""
    give_lane(group, backend, group.timeout_s, None)
    group.backend_asked = backend  # of groups that the mesh makes
    set_default_group(group)
    number = group.rank() % torch.cuda.device_count()
    torch.cuda.set_device(number)
    failed = 0
    ways = {name: way for name, way in WAYS.items() if only in name}
    for name, (way, make, tolerance) in ways.items():
        cpu, gpu = (trained(torch.device(each), way, make) for each in ("cpu", f"cuda:{number}"))
        pairs = [(cpu[0], gpu[0]), *zip(cpu[1], gpu[1], strict=True)]
        if not all(np.allclose(*pair, rtol=tolerance, atol=tolerance, equal_nan=True) for pair in pairs):
            failed += 1
            print(f"FAILED {name}: {cpu[0]} on the CPU, {gpu[0]} on the GPU")
        everyone = [None] * group.size()
        torch.distributed.all_gather_object(everyone, [each.tobytes() for each in gpu[1]])
        if any(each != everyone[0] for each in everyone):
            failed += 1
            print(f"FAILED {name}: ranks differ")
    failed += memory() + forgotten()
    print(f"{failed} of {len(ways)} ways differ")
    group.close()
    if failed:
        raise SystemExit(1)
