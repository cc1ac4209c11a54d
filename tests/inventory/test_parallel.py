"""Area T: several ranks."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

import distrt as torch
import distrt.distributed as dist
import distrt.nn as nn
from distrt.nn.parallel import DistributedDataParallel
from tests.inventory.rows import covers
from tests.ports import free_port


@covers("T1")
def test_data_parallel_is_transparent_without_gpus() -> None:
    model = nn.Linear(10, 5)
    wrapped = nn.DataParallel(model)
    assert wrapped.module is model
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    input = torch.randn(32, 10)
    assert torch.equal(wrapped(input), model(input))


@covers("T7")
def test_import_paths() -> None:
    assert DistributedDataParallel is nn.parallel.DistributedDataParallel
    assert (
        importlib.import_module("distrt.nn.parallel.distributed").DistributedDataParallel
        is DistributedDataParallel
    )
    sampler = importlib.import_module("distrt.utils.data.distributed").DistributedSampler
    assert sampler is torch.utils.data.DistributedSampler


@pytest.mark.skipif("torch.cuda.is_available()", reason="states what a machine without a GPU answers")
@covers("T5")
def test_a_rank_as_a_device_means_a_gpu() -> None:
    for rank in range(2):
        with pytest.raises((RuntimeError, AssertionError), match="CUDA"):
            nn.Linear(2, 2).to(rank)


def train(rank: int, world_size: int, port: int, folder: str) -> None:
    """What each process of the document's script does, on the CPU."""
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = "127.0.0.1", str(port)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)
    assert dist.is_initialized() and dist.get_rank() == rank and dist.get_world_size() == world_size
    torch.manual_seed(rank)
    model = DistributedDataParallel(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)))
    assert isinstance(model.module, nn.Sequential)
    with model.no_sync():
        model(torch.randn(5, 4)).square().sum().backward()
    model(torch.randn(5, 4)).square().sum().backward()
    gradient = model.module[0].weight.grad
    gathered = [torch.empty_like(gradient) for _ in range(world_size)]
    dist.all_gather(gathered, gradient)
    assert all(torch.equal(each, gradient) for each in gathered)
    weights = model.module[0].weight.detach().clone()
    dist.broadcast(weights, src=0)
    assert torch.equal(weights, model.module[0].weight)
    total = torch.tensor([rank + 1.0])
    dist.all_reduce(total)
    assert total.item() == world_size * (world_size + 1) / 2
    dist.barrier()
    dist.destroy_process_group()
    assert not dist.is_initialized()
    Path(folder, str(rank)).touch()


def fail(rank: int) -> None:
    raise ValueError(f"process {rank} does not like it")


@covers("T2", "T3", "T4", "T6", "T8")
def test_processes_are_started_and_train_together(tmp_path: Path) -> None:
    port = free_port()
    torch.multiprocessing.spawn(train, args=(2, port, str(tmp_path)), nprocs=2)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["0", "1"]


@covers("T6")
def test_what_a_process_raises_is_raised() -> None:
    with pytest.raises(torch.multiprocessing.ProcessRaisedException, match="does not like it"):
        torch.multiprocessing.spawn(fail, nprocs=2)


@pytest.mark.skipif("torch.cuda.is_available()", reason="states what a machine without a GPU answers")
@covers("T2", "T3")
def test_a_script_for_nccl_runs_without_a_gpu_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "0")
    with pytest.warns(UserWarning, match="no GPU is available"):
        dist.init_process_group("nccl", rank=0, world_size=1)
    assert dist.is_initialized() and dist.get_world_size() == 1
    dist.destroy_process_group()
    assert not dist.is_initialized()
