"""What a profile sees besides calls: phases, exchanges and checkpoints, also where it looks at no operation."""

import json
from pathlib import Path
from typing import Any

import pytest

import distrt as torch
import distrt.distributed as dist
from distrt.checkpoint import Checkpoints
from distrt.core.process import activity
from distrt.nn.parallel import DistributedDataParallel
from distrt.profiler import profile
from distrt.utils.data import DataLoader, TensorDataset


@pytest.fixture(autouse=True)
def world() -> Any:
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    yield
    dist.destroy_process_group()
    assert activity.listeners == ()


def train(folder: Path) -> None:
    model = DistributedDataParallel(torch.nn.Conv2d(3, 8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for (images,) in DataLoader(TensorDataset(torch.randn(8, 3, 32, 32)), batch_size=4):
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    Checkpoints(folder / "checkpoints").save(1, {"model": model.module})
    torch.save(model.module.state_dict(), folder / "model.pt")


def test_operations_kernels_collectives_data_and_checkpoints_are_seen(tmp_path: Path) -> None:
    with profile() as prof:
        train(tmp_path)
    names = {each.key for each in prof.key_averages()}
    seen = {"aten::conv2d", "ConvolutionBackward0", "c10d::all_reduce", "distrt::checkpoint", "distrt::save"}
    assert seen <= names, names
    assert any(name.startswith("onednn::") for name in names) or not torch.backends.mkldnn.is_available()
    assert any(name.startswith("enumerate(DataLoader)#") for name in names)
    assert any(name.startswith("Optimizer.step#SGD") for name in names)


def test_without_operations_the_table_has_the_phases(tmp_path: Path) -> None:
    with profile(sees_operations=False) as prof:
        train(tmp_path)
    counts = {each.key: each.count for each in prof.key_averages()}
    assert (counts["distrt::forward"], counts["distrt::backward"], counts["distrt::optimizer"]) == (2, 2, 2)
    assert counts["distrt::data"] == 3  # two batches, and the end
    assert counts["distrt::checkpoint"] >= 2
    assert "aten::conv2d" not in counts


def test_the_trace_has_rows_for_phases_and_exchanges(tmp_path: Path) -> None:
    with profile() as prof:
        train(tmp_path)
    prof.export_merged_trace(tmp_path / "merged.json")
    prof.export_step_picture(tmp_path / "step.svg", step=1)
    events = json.loads((tmp_path / "merged.json").read_text())["traceEvents"]
    rows = {each["args"]["name"]: each["tid"] for each in events if each["name"] == "thread_name"}
    phases = [each["name"] for each in events if each["ph"] == "X" and each["tid"] == rows["phases"]]
    exchanges = [each for each in events if each["ph"] == "X" and each["tid"] == rows["communication"]]
    assert phases.count("optimizer") == 2
    assert {each["args"]["bytes"] for each in exchanges if each["name"].startswith("all_reduce")} == {4 * 224}
    assert "hidden" in (tmp_path / "step.svg").read_text()


def test_a_profile_that_breaks_off_leaves_no_listener(tmp_path: Path) -> None:
    with pytest.raises(KeyError), profile():
        raise KeyError
    assert activity.listeners == ()
