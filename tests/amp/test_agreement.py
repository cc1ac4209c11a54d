"""Ranks (threads) that scale their losses: what one of them finds is everybody's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.amp import agree_on
from distrt.comm.local import run_local
from distrt.comm.reduction import ReduceOp
from distrt.parallel import DistributedDataParallel


class _Agreement:
    def __init__(self, group: Any) -> None:
        self.group, self.rank = group, group.rank()

    def maximum(self, values: np.ndarray[Any, Any]) -> None:
        self.group.all_reduce(values, ReduceOp.MAX)


def _course(group: Any, overflows: dict[int, int], wrap: bool) -> Any:
    """Eight steps on this rank's own gradients; ``overflows``: in which step which rank's gradient is infinite."""
    distrt.manual_seed(0)
    model = distrt.nn.Linear(3, 2)
    if wrap:
        model = DistributedDataParallel(model, process_group=group)
    agree_on(model.parameters(), _Agreement(group))
    optimizer = distrt.optim.SGD(model.named_parameters(), lr=0.1)
    scaler = distrt.amp.GradScaler("cpu", init_scale=64.0, growth_interval=2)
    seen = []
    for step in range(8):
        optimizer.zero_grad()
        factor = math.inf if overflows.get(step) == group.rank() else 1.0
        scaler.scale((model(distrt.ones(1, 3)) * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), scaler.overflow))
    return seen, [each.tolist() for each in model.parameters()]


@pytest.mark.parametrize("world_size", [2, 3])
def test_an_overflow_on_one_rank_skips_the_step_on_all(world_size: int) -> None:
    results = run_local(lambda group: _course(group, {1: 0, 2: world_size - 1, 5: 1}, False), world_size)
    assert all(each == results[0] for each in results)
    seen, _ = results[0]
    assert [scale for scale, _ in seen] == [64.0, 32.0, 16.0, 16.0, 32.0, 16.0, 16.0, 32.0]
    assert [seen[step][1].rank for step in (1, 2, 5)] == [0, world_size - 1, 1]
    assert seen[1][1].name == "weight" and seen[0][1] is None


def test_summed_gradients_overflow_on_all_ranks_and_name_none() -> None:
    results = run_local(lambda group: _course(group, {3: 1}, True), 2)
    assert results[0] == results[1]
    seen, _ = results[0]
    assert [scale for scale, _ in seen] == [64.0, 128.0, 128.0, 64.0, 64.0, 128.0, 128.0, 256.0]
    assert seen[3][1].rank is None
