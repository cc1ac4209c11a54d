"""The same bits on all ranks together and on one alone: digests of models after some steps."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from distrt.comm.functions.gpu import give_lane
from distrt.comm.process_group import ProcessGroup
from distrt.comm.world import set_default_group
from distrt.nn.parallel import DistributedDataParallel

SHARDS, BATCH = 4, 8


class Convolutional(nn.Module):
    """With batch statistics and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.last = nn.Linear(64, 5)

    def forward(self, x: Any) -> Any:
        """Shape: (N, 1, 4, 4) -> (N, 5)."""
        return self.last(F.dropout(F.relu(self.norm(self.conv(x))).flatten(1), 0.3, self.training))


class Synchronised(Convolutional):
    """With statistics over all shards."""

    def __init__(self) -> None:
        super().__init__()
        nn.SyncBatchNorm.convert_sync_batchnorm(self)


class Reading(nn.Module):
    """With rows that several places name, whose gradients are added up."""

    def __init__(self) -> None:
        super().__init__()
        self.rows, self.norm, self.last = nn.Embedding(3, 8), nn.LayerNorm(8), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        """Shape: (N, 1, 4, 4) -> (N, 5)."""
        return self.last(self.norm(self.rows((x.flatten(1) * 9).long() % 3)).mean(1))


def digest(kind: Any, place: Any, group: ProcessGroup) -> str:
    """Of all states after four steps."""
    torch.manual_seed(3)
    model = kind().to(place)
    wrapped = DistributedDataParallel(
        model, process_group=group, bucket_cap_mb=0.001 * group.size(), reproducible=SHARDS
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    rng = np.random.default_rng(1)
    for _ in range(4):
        x = torch.tensor(rng.standard_normal((BATCH, 1, 4, 4)), dtype=torch.float32)
        y = torch.tensor(rng.integers(0, 5, BATCH))
        own = [each.chunk(group.size())[group.rank()].to(place) for each in (x, y)]
        optimizer.zero_grad()
        F.cross_entropy(wrapped(own[0]), own[1]).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    found = hashlib.sha256()
    for each in model.state_dict().values():
        found.update(each.cpu().numpy().tobytes())
    return found.hexdigest()[:16]


def main(group: ProcessGroup, backend: str = "cpu:gloo,cuda:nccl") -> None:
    """Compares; prints ``bits NAME DIGEST`` for each model."""
    give_lane(group, backend, group.timeout_s, None)
    group.backend_asked = backend  # of the groups of one
    set_default_group(group)
    number = group.rank() % torch.cuda.device_count()
    torch.cuda.set_device(number)
    alone = [torch.distributed.new_group([rank]) for rank in range(group.size())][group.rank()]
    failed = 0
    for kind in (Convolutional, Synchronised, Reading):
        together, expected = (digest(kind, f"cuda:{number}", each) for each in (group, alone))
        failed += together != expected
        print(f"{'bits' if together == expected else 'FAILED'} {kind.__name__} {together} {expected}")
    group.close()
    if failed:
        raise SystemExit(1)
