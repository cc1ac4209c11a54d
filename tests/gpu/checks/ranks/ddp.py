"""Data parallelism on GPUs beside that on the CPU: the same losses and the same parameters, by every way."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt as torch
import distrt.distributed.optim
import distrt.nn.functional as F
from distrt import nn
from distrt.comm.functions.gpu import give_lane
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import set_default_group
from distrt.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from distrt.nn.parallel import DistributedDataParallel


class Net(nn.Module):
    """Images into one of ten classes; a part that is used now and then."""

    def __init__(self, sync: bool = False) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        if sync:
            self.norm = nn.SyncBatchNorm.convert_sync_batchnorm(self.norm)
        self.out, self.rare = nn.Linear(6 * 16, 10), nn.Linear(10, 10)
        self.uses_rare = True

    def forward(self, images: Any) -> Any:
        """Shape: (N, 3, 4, 4) -> (N, 10)."""
        found = self.out(F.relu(self.norm(self.conv(images))).flatten(1))
        return self.rare(found) if self.uses_rare else found


Step = Callable[[Any, Any, Any, Any], Any]


def plain(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """Forward, backward, step."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), targets)
    loss.backward()
    optimizer.step()
    return loss


def accumulating(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """Two backward passes, of which the second averages."""
    optimizer.zero_grad()
    with model.no_sync():
        F.cross_entropy(model(images * 0.5), targets).backward()
    loss = F.cross_entropy(model(images), targets)
    loss.backward()
    optimizer.step()
    return loss


def scaled(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """With a scaler; in the third step one rank's gradients overflow, and no rank takes the step."""
    scaler, count = optimizer.__dict__.setdefault("check", [torch.amp.GradScaler(images.device.type), 0])
    optimizer.check[1] += 1
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), targets)
    factor = float("inf") if count == 2 and torch.distributed.get_rank() == 1 else 1.0
    scaler.scale(loss * factor).backward()
    scaler.step(optimizer)
    scaler.update()
    assert (scaler.get_scale() < 65536) == (count >= 2), scaler.get_scale()
    return loss


def sharded(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """Each rank steps its part of the parameters, and gives it to the others."""
    zero = optimizer.__dict__.setdefault("zero", None)
    if zero is None:
        kind = torch.distributed.optim.ZeroRedundancyOptimizer
        zero = optimizer.zero = kind(model.parameters(), torch.optim.SGD, lr=0.05, momentum=0.9)
    return plain(model, zero, images, targets)


def saved(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """Steps of parts, clipped, with whole states that go through a file, and momentum that is looked at."""
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), targets)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    file = io.BytesIO()
    found = optimizer.state_dict()
    sizes = [each["momentum_buffer"].shape for each in found["state"].values()]
    assert sizes == [each.shape for each in model.parameters()], sizes
    torch.save(found, file)
    file.seek(0)
    optimizer.load_state_dict(torch.load(file))
    return loss


def adaptive(model: Any, optimizer: Any, images: Any, targets: Any) -> Any:
    """AdamW, whose state is there once over all ranks, and whole in what is saved."""
    other = optimizer.__dict__.setdefault("other", None)
    if other is None:
        other = optimizer.other = torch.optim.AdamW(model.parameters(), lr=0.01, eps=1e-3)
    loss = plain(model, other, images, targets)
    kept = sum(each["exp_avg"]._array.size for each in other.state.values())
    total, ranks = sum(each.numel() for each in model.parameters()), torch.distributed.get_world_size()
    assert images.device.type == "cpu" or kept <= total / ranks + 64, (kept, total)
    found = other.state_dict()["state"]
    assert {each["step"].item() for each in found.values()} == {found[0]["step"].item()}
    return loss + sum(each["exp_avg_sq"].sum() for each in found.values())


def cut(model: Any) -> Any:
    """Each rank updates a part."""
    return DistributedDataParallel(model, shard_optimizer=True)


def trained(place: Any, step: Step, sync: bool, wrap: Callable[[Any], Any]) -> tuple[list[float], list[Any]]:
    """Losses and parameters of five steps, from one start on all ranks but rank 1, which gets rank 0's."""
    rank = torch.distributed.get_rank()
    torch.manual_seed(rank)
    model = wrap(Net(sync).to(place))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    rng = np.random.default_rng(rank)
    losses = []
    for number in range(5):
        images = torch.tensor(rng.standard_normal((4, 3, 4, 4)), dtype=torch.float32).to(place)
        model.module.uses_rare = number % 2 == 0 or not model.find_unused_parameters
        targets = torch.tensor(rng.integers(0, 10, 4)).to(place)
        losses.append(step(model, optimizer, images, targets).item())
    assert all(each.grad is None or each.grad.device == place for each in model.parameters())
    everything = [*model.module.parameters(), *model.module.buffers()]
    return losses, [each.detach().cpu().numpy() for each in everything]


def half(model: Any) -> Any:
    """Averages in float16."""
    wrapped = DistributedDataParallel(model)
    wrapped.register_comm_hook(None, default_hooks.fp16_compress_hook)
    return wrapped


def low_rank(model: Any) -> Any:
    """Averages two thin factors of each matrix."""
    wrapped = DistributedDataParallel(model)
    state = powerSGD_hook.PowerSGDState(None, 1, start_powerSGD_iter=2)
    wrapped.register_comm_hook(state, powerSGD_hook.powerSGD_hook)
    return wrapped


WAYS: dict[str, tuple[Step, bool, Callable[[Any], Any], float]] = {
    "plain": (plain, False, DistributedDataParallel, 1e-5),
    "small buckets": (plain, False, lambda model: DistributedDataParallel(model, bucket_cap_mb=0.0005), 1e-5),
    "no_sync": (accumulating, False, DistributedDataParallel, 1e-5),
    "unused": (plain, False, lambda model: DistributedDataParallel(model, find_unused_parameters=True), 1e-5),
    "static": (plain, False, lambda model: DistributedDataParallel(model, static_graph=True), 1e-5),
    "SyncBatchNorm": (plain, True, DistributedDataParallel, 1e-4),
    "GradScaler": (scaled, False, DistributedDataParallel, 1e-5),
    "ZeRO": (sharded, False, DistributedDataParallel, 1e-4),
    "shard_optimizer": (plain, False, cut, 1e-5),
    "shard_optimizer, AdamW": (adaptive, False, cut, 1e-4),
    "shard_optimizer, clipped and saved": (saved, False, cut, 1e-5),
    "shard_optimizer, GradScaler": (scaled, False, cut, 1e-5),
    "PowerSGD": (plain, False, low_rank, 1e-3),
    "fp16 hook": (plain, False, half, 1e-2),
}


def main(group: ProcessGroup, backend: str = "cpu:gloo,cuda:nccl") -> None:
    """Compares all; prints what differs."""
    give_lane(group, backend, group.timeout_s, None)
    set_default_group(group)
    number = group.rank() % torch.cuda.device_count()
    torch.cuda.set_device(number)
    failed = 0
    for name, (step, sync, wrap, tolerance) in WAYS.items():
        cpu, gpu = (trained(torch.device(each), step, sync, wrap) for each in ("cpu", f"cuda:{number}"))
        pairs = [(cpu[0], gpu[0]), *zip(cpu[1], gpu[1], strict=True)]
        if not all(np.allclose(*pair, rtol=tolerance, atol=tolerance, equal_nan=True) for pair in pairs):
            failed += 1
            print(f"FAILED {name}: {cpu[0]} on the CPU, {gpu[0]} on the GPU")
        everyone = [None] * group.size()
        torch.distributed.all_gather_object(everyone, [each.tobytes() for each in gpu[1][:8]])
        if any(each != everyone[0] for each in everyone):
            failed += 1
            print(f"FAILED {name}: ranks differ")
    model = DistributedDataParallel(Net().cuda(), device_ids=[number], output_device=number)
    assert model(torch.zeros(2, 3, 4, 4)).device.index == number and model.device_ids == [number]
    print(f"{failed} of {len(WAYS)} ways differ")
    group.close()
    if failed:
        raise SystemExit(1)
