"""Sparse gradients in data parallelism: added up over the ranks, sparse on all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import UnsupportedError
from distrt.distributed.fsdp import FullyShardedDataParallel, fully_shard
from distrt.parallel import DistributedDataParallel, NaiveDDP
from tests.parallel.sharded_models import join

BATCHES = [[[1, 3], [3, 0]], [[5, 5], [1, 2]], [[0, 0], [0, 4]], [[2, 3], [4, 1]]]


def model(is_alone: bool = False) -> nn.Module:
    torch.manual_seed(3)
    table = nn.EmbeddingBag(7, 3, mode="sum", sparse=True)
    return nn.Sequential(table) if is_alone else nn.Sequential(table, nn.Linear(3, 2))


def gradients(net: nn.Module, batch: Any) -> list[Any]:
    net.zero_grad()
    (net(torch.tensor(batch)) ** 2).mean().backward()
    return [each.grad for each in net.parameters()]


@pytest.mark.parametrize("wrapper", [DistributedDataParallel, NaiveDDP])
@pytest.mark.parametrize("is_alone", [False, True])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_gradients_are_the_average_and_stay_sparse(wrapper: Any, is_alone: bool, world_size: int) -> None:
    def run(group: Any) -> list[Any]:
        net = wrapper(model(is_alone), process_group=group)
        return [gradients(net, BATCHES[group.rank()]) for _ in range(3)][-1]

    alone = [gradients(model(is_alone), BATCHES[rank]) for rank in range(world_size)]
    for found in run_local(run, world_size):
        assert found[0].is_sparse
        assert found[0].is_coalesced()
        for place, mine in enumerate(found):
            expected = np.mean([each[place].to_dense().numpy() for each in alone], 0)
            np.testing.assert_allclose(mine.to_dense().numpy(), expected, rtol=1e-5, atol=1e-7)


def test_ranks_train_alike_and_as_one_process() -> None:
    def train(net: nn.Module, batches: list[Any]) -> list[Any]:
        optimizers = [
            torch.optim.SparseAdam([next(net.parameters())], lr=0.1),
            torch.optim.SGD(list(net.parameters())[1:], lr=0.1),
        ]
        for batch in batches:
            gradients(net, batch)
            for optimizer in optimizers:
                optimizer.step()
        return [each.detach().numpy().copy() for each in net.parameters()]

    def run(group: Any) -> list[Any]:
        net = DistributedDataParallel(model(), process_group=group)
        return train(net, [batch[group.rank() : group.rank() + 1] for batch in BATCHES])

    first, second = run_local(run, 2)
    for mine, theirs, expected in zip(first, second, train(model(), BATCHES), strict=True):
        assert np.array_equal(mine, theirs)
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-5)


def test_gradients_inside_no_sync_are_averaged_with_the_next() -> None:
    def run(group: Any) -> Any:
        net = DistributedDataParallel(model(True), process_group=group)
        with net.no_sync():
            net(torch.tensor(BATCHES[group.rank()])).sum().backward()
        net(torch.tensor(BATCHES[2])).sum().backward()
        return next(net.parameters()).grad.to_dense().numpy()

    first, second = run_local(run, 2)
    expected = np.zeros((7, 3), np.float32)
    for weight, batch in ((0.5, BATCHES[0]), (0.5, BATCHES[1]), (1.0, BATCHES[2])):
        np.add.at(expected, np.array(batch).reshape(-1), weight)
    assert np.array_equal(first, second)
    np.testing.assert_allclose(first, expected)


def test_a_rank_that_does_not_reach_the_table_adds_nothing() -> None:
    def run(group: Any) -> Any:
        net = DistributedDataParallel(model(), process_group=group, find_unused_parameters=True)
        out = net(torch.tensor(BATCHES[0]))
        (
            out.sum() if group.rank() == 0 else net.module[1].weight.sum() + 0 * net.module[1].bias.sum()
        ).backward()
        return next(net.parameters()).grad

    first, second = run_local(run, 2)
    assert first.is_sparse
    assert second.is_sparse
    assert first.to_dense().tolist() == second.to_dense().tolist()
    assert first._nnz() == 3


def test_a_table_that_no_rank_reaches_has_no_gradient() -> None:
    """As a dense one has none: the optimizer counts no step for it."""

    class Tables(nn.ModuleList):
        def forward(self, which: int) -> Any:
            return self[which](torch.tensor([1, 2]))

    def run(group: Any) -> Any:
        tables = Tables([nn.Embedding(4, 2, sparse=True) for _ in range(3)])
        net = DistributedDataParallel(tables, process_group=group)
        optimizer = torch.optim.SparseAdam(net.parameters())
        for reached in (0, group.rank(), 0):
            net.zero_grad()
            net(reached).sum().backward()
            optimizer.step()
        return [optimizer.state[each.weight].get("step") for each in tables]

    assert run_local(run, 2) == [[3, 1, None]] * 2


def test_ranks_that_have_run_out_of_batches_go_along() -> None:
    def run(group: Any) -> Any:
        net = DistributedDataParallel(model(), process_group=group)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        with net.join():
            for batch in BATCHES[: 2 + group.rank()]:
                gradients(net, batch)
                optimizer.step()
        return next(net.parameters()).detach().numpy().copy()

    first, second = run_local(run, 2)
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "options",
    [
        {"reproducible": 2},
        {"shard_optimizer": True},
        {"mixed_precision": nn.parallel.distributed._MixedPrecision(param_dtype=torch.float16)},
    ],
)
def test_what_takes_no_sparse_gradients_says_so(options: dict[str, Any]) -> None:
    def run(group: Any) -> None:
        with pytest.raises(UnsupportedError, match="sparse=True"):
            DistributedDataParallel(model(), process_group=group, **options)

    run_local(run, 1)


def test_sharded_models_refuse_layers_with_sparse_gradients() -> None:
    def run(group: Any) -> None:
        join(group)
        for shard in (fully_shard, FullyShardedDataParallel):
            with pytest.raises(UnsupportedError, match="sparse=True"):
                shard(model())

    run_local(run, 1)


@pytest.mark.filterwarnings("ignore:`broadcast_buffers` is deprecated")
def test_sparse_buffers_stay_with_their_rank_or_are_refused_by_name() -> None:
    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("edges", torch.eye(3).to_sparse())
            self.layer = nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            return self.edges @ self.layer(x)

    def run(group: Any) -> Any:
        with pytest.raises(UnsupportedError, match=r"edges is a tensor of the layout torch\.sparse_coo"):
            DistributedDataParallel(Graph(), process_group=group)
        net = DistributedDataParallel(Graph(), process_group=group, broadcast_buffers=False)
        net(torch.full((3, 3), float(group.rank()))).sum().backward()
        return net.module.layer.weight.grad.tolist()

    assert run_local(run, 2) == [[[1.5] * 3] * 2] * 2
