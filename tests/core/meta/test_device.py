"""Tensors and modules on the meta device: made, moved, loaded, saved, and what they refuse."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.core.errors import CheckpointError, DeviceError, NoDataError

META = torch.device("meta")


class Model(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = nn.Linear(4, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 2)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.norm(self.first(x))))


def test_a_model_is_made_in_the_block_of_the_device_and_gets_memory_later() -> None:
    with META:
        model = Model()
    assert all(each.is_meta for each in model.state_dict().values())
    kept = model.first.weight
    assert model.to_empty(device="cpu") is model
    assert model.first.weight is kept
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert model(torch.ones(3, 4)).shape == (3, 2)


def test_to_empty_without_recursion_leaves_the_modules_below() -> None:
    model = nn.Sequential(nn.Linear(2, 2, device="meta"))
    model.to_empty(device="cpu", recurse=False)
    assert model[0].weight.is_meta


def test_the_default_device_can_be_meta() -> None:
    torch.set_default_device("meta")
    try:
        assert torch.ones(2).is_meta
        assert nn.Linear(1, 1).weight.device == META
        assert not torch.Tensor(2, 3).is_meta  # the old constructors have none, as in PyTorch
    finally:
        torch.set_default_device(None)


def test_huge_tensors_take_no_memory() -> None:
    x = torch.empty(10**6, 10**6, 3, device="meta", dtype=torch.bfloat16)
    assert x.nbytes == 6 * 10**12
    assert (x.transpose(0, 1).contiguous() @ torch.ones(3, 5, device="meta", dtype=x.dtype)).shape == (
        10**6,
        10**6,
        5,
    )
    assert torch.randn(10**7, 10**6, device="meta").normal_().sum().shape == ()


def test_views_know_their_strides_and_share_their_base() -> None:
    x = torch.empty(4, 6, device="meta")
    part = x.t()[1:5:2]
    assert (part.shape, part.stride(), part.storage_offset()) == ((2, 4), (2, 6), 1)
    assert part._base is x
    assert x[0, 0].shape == ()
    with pytest.raises(IndexError):
        x[9]


def test_a_step_of_a_model_changes_nothing_and_counts_versions() -> None:
    model = nn.Linear(3, 2, device="meta")
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(5, 3, device="meta")).square().mean().backward()
    version = model.weight._version
    optimizer.step()
    assert model.weight._version > version
    assert model.weight.grad.is_meta
    assert optimizer.state[model.weight]["exp_avg"].is_meta


@pytest.mark.parametrize(
    "initialize", ["uniform_", "trunc_normal_", "orthogonal_", "kaiming_normal_", "eye_"]
)
def test_initializers_leave_it_as_it_is(initialize: str) -> None:
    weight = nn.Parameter(torch.empty(3, 4, device="meta"))
    assert getattr(nn.init, initialize)(weight) is weight
    assert weight.is_meta


@pytest.mark.parametrize(("initialize", "dims"), [("eye_", 2), ("dirac_", 3), ("sparse_", 2)])
def test_initializers_take_no_memory(initialize: str, dims: int) -> None:
    weight = torch.empty((10**6, 10**6, 3)[:dims], device="meta")
    assert getattr(nn.init, initialize)(weight, *[0.5] * (initialize == "sparse_")) is weight


def test_drawing_on_meta_moves_no_generator() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    torch.rand(9, device="meta")
    nn.Dropout()(torch.ones(9, device="meta"))
    assert torch.equal(torch.rand(2), expected)


def test_a_state_dict_is_taken_over_with_assign_and_without_it_nothing_happens() -> None:
    state = Model().state_dict()
    with META:
        model = Model()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        model.load_state_dict(state)
    assert len(said) == len(state)
    assert str(said[0].message).startswith(
        "for first.weight: copying from a non-meta parameter in the checkpoint"
    )
    assert model.first.weight.is_meta
    model.load_state_dict(state, assign=True)
    assert torch.equal(model.first.weight, state["first.weight"])
    assert isinstance(model.first.weight, nn.Parameter)


def test_files_keep_what_tensors_look_like() -> None:
    x = torch.empty(4, 3, device="meta").t()
    file = io.BytesIO()
    torch.save({"x": x, "model": nn.Linear(2, 2, device="meta")}, file)
    file.seek(0)
    found = torch.load(file, weights_only=False)
    assert (found["x"].is_meta, found["x"].shape, found["x"].stride()) == (True, (3, 4), (1, 3))
    assert found["model"].weight.is_meta
    assert copy.deepcopy(x).stride() == pickle.loads(pickle.dumps(x)).stride() == (1, 3)


def test_a_file_is_loaded_without_data() -> None:
    file = io.BytesIO()
    torch.save(Model().state_dict(), file)
    file.seek(0)
    found = torch.load(file, map_location="meta")
    assert all(each.is_meta for each in found.values())
    assert found["first.weight"].shape == (8, 4)


@pytest.mark.parametrize(
    ("size", "stride"), [((2**62, 4), (4, 1)), ((2,), (1, 1)), ((-1,), (1,)), ("ab", (1,))]
)
def test_a_file_with_nonsense_for_sizes_is_refused(size: Any, stride: Any) -> None:
    from distrt.files.rebuilding import meta_tensor

    with pytest.raises(CheckpointError):
        meta_tensor(torch.float32, size, stride, False)


def test_data_is_missed_by_name() -> None:
    x = torch.ones(3, device="meta")
    with pytest.raises(NoDataError, match=r"masked_select: .* which elements a mask selects"):
        x.masked_select(x > 0)
    with pytest.raises(NotImplementedError, match=r"no data! Please use torch.nn.Module.to_empty\(\)"):
        Model().to("meta").to("cpu")
    with pytest.raises(DeviceError, match="checking arguments for add"):
        x + torch.ones(3)
    assert (x + torch.ones(())).is_meta
    with pytest.raises(NoDataError):
        np.asarray(x._array)


def test_functions_are_called_with_parameters_of_meta() -> None:
    model = Model()
    shapes = {name: each.to("meta") for name, each in model.state_dict().items()}
    found = torch.func.functional_call(model, shapes, (torch.ones(3, 4, device="meta"),))
    assert (found.is_meta, found.shape) == (True, (3, 2))


def test_the_room_loads_when_the_device_is_asked_for() -> None:
    code = (
        "import sys, distrt; (distrt.ones(2) + 1).sum(); distrt.device('meta'); "
        "assert not any(name.startswith('distrt.core.meta') for name in sys.modules); "
        "distrt.ones(2, device='meta'); assert 'distrt.core.meta' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
