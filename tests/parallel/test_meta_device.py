"""Models on the meta device that are split over ranks: they get memory, and values, after that."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import DeviceError
from distrt.distributed.fsdp import FullyShardedDataParallel, fully_shard
from distrt.distributed.fsdp.wrap import ModuleWrapPolicy
from distrt.nn.parallel import DistributedDataParallel
from tests.parallel.sharded_models import join

META = torch.device("meta")


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.layers = nn.ModuleList([nn.Linear(8, 8) for _ in range(2)])
        self.out = nn.Linear(8, 3)

    def forward(self, words: Any) -> Any:
        x = self.words(words)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


def _reset(model: nn.Module) -> None:
    torch.manual_seed(5)
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()


def _train(model: nn.Module) -> float:
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(3):
        loss = model(torch.arange(10)).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def _alone() -> tuple[float, list[Any]]:
    model = Model()
    _reset(model)
    return _train(model), [each.detach().numpy() for each in model.parameters()]


def _sharded() -> nn.Module:
    with META:
        model = Model()
    for layer in model.layers:
        fully_shard(layer)
    return fully_shard(model)  # type: ignore[no-any-return]


def test_a_sharded_model_gets_memory_and_the_values_of_one_process() -> None:
    def run(group: Any) -> Any:
        join(group)
        model = _sharded()
        assert all(each.is_meta and each.to_local().is_meta for each in model.parameters())
        model.to_empty(device="cpu")
        _reset(model)
        return _train(model), [each.full_tensor().detach().numpy() for each in model.parameters()]

    loss, values = _alone()
    for found, parts in run_local(run, 3):
        assert found == pytest.approx(loss, rel=1e-4)
        for one, other in zip(parts, values, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_values_that_are_there_stay_when_others_of_the_unit_come() -> None:
    def run(group: Any) -> Any:
        join(group)
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, device="meta"))
        weight = model[0].weight.detach().clone()
        fully_shard(model)
        assert [each.is_meta for each in model.parameters()] == [False, False, True, True]
        model[1].to_empty(device="cpu")
        model[1].reset_parameters()
        model(torch.ones(1, 3)).sum().backward()
        return (model[0].weight.full_tensor() == weight).all().item()

    assert run_local(run, 2) == [True, True]


def test_a_sharded_model_without_memory_says_what_to_do() -> None:
    def run(group: Any) -> None:
        join(group)
        words = re.escape(
            "still on meta device: ['words.weight', 'out.weight', 'out.bias']. For example, call module"
        )
        with pytest.raises(RuntimeError, match=words):
            _sharded()(torch.arange(3))

    run_local(run, 2)


@pytest.mark.parametrize("gives_function", [False, True])
def test_the_wrapper_gives_modules_memory_and_values(gives_function: bool) -> None:
    def initialize(module: nn.Module) -> None:
        module.to_empty(device="cpu", recurse=False)
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()

    def run(group: Any) -> Any:
        join(group)
        torch.manual_seed(5 + group.rank())
        with META:
            model = Model()
        wrapped = FullyShardedDataParallel(
            model,
            auto_wrap_policy=ModuleWrapPolicy({nn.Linear}),
            param_init_fn=initialize if gives_function else None,
            sync_module_states=True,
        )
        return _train(wrapped)

    first, second = run_local(run, 2)
    assert np.isfinite(first)
    assert first == second


def test_a_module_that_cannot_initialize_itself_is_named() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(3, device="meta"))

    def run(group: Any) -> None:
        join(group)
        with pytest.raises(AttributeError, match="Bare has no such method"):
            FullyShardedDataParallel(Bare())

    run_local(run, 1)


def test_data_parallel_refuses_a_model_without_values() -> None:
    def run(group: Any) -> None:
        join(group)
        with pytest.raises(DeviceError, match="on the meta device"):
            DistributedDataParallel(nn.Linear(2, 2, device="meta"))

    run_local(run, 1)
