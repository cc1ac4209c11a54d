"""Checkpoints of a run in one process: everything comes back, and training goes on bit by bit."""

import argparse
import os

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.checkpoint import Checkpoints
from distrt.core.errors import CheckpointError
from tests.checkpoint.runs import Run, same

MORE = ["AdamW", "Adagrad", "RMSprop", "NAdam", "ASGD", "Rprop", "Adadelta", "Adamax", "RAdam"]


@pytest.mark.parametrize(
    "optimizer", ["SGD", "Adam", *(pytest.param(each, marks=pytest.mark.ci) for each in MORE)]
)
def test_a_resumed_run_goes_on_as_one_that_never_stopped(optimizer, tmp_path):
    whole = Run(optimizer=optimizer)
    whole.steps(4)
    Checkpoints(tmp_path).save(4, whole.parts)
    expected = whole.steps(5)

    resumed = Run(optimizer=optimizer, seed=9)
    resumed.steps(2)
    resumed.parts["config"] = None
    assert Checkpoints(tmp_path).resume(resumed.parts) == 4
    assert resumed.steps(5) == expected
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert same(resumed.optimizer.state_dict(), whole.optimizer.state_dict())
    assert resumed.schedule.state_dict() == whole.schedule.state_dict()
    assert resumed.scaler.state_dict() == whole.scaler.state_dict()
    assert same(resumed.parts["config"], whole.parts["config"])


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_run_with_sparse_gradients_goes_on_as_one_that_never_stopped(asynchronous, tmp_path):
    """Their momentum is a sparse tensor, and so is the buffer."""

    def run(seed):
        torch.manual_seed(seed)
        table = nn.Embedding(6, 2, sparse=True)
        table.register_buffer("graph", torch.eye(2 + seed)[:2, :2].to_sparse() * seed)
        return {"model": table, "optimizer": torch.optim.SGD(table.parameters(), lr=0.1, momentum=0.9)}

    def step(parts, rows):
        parts["optimizer"].zero_grad()
        (parts["model"](torch.tensor(rows)) @ parts["model"].graph).pow(2).sum().backward()
        parts["optimizer"].step()

    whole, resumed, checkpoints = run(1), run(2), Checkpoints(tmp_path)
    step(whole, [1, 3, 1])
    step(resumed, [0])
    checkpoints.save(1, whole, asynchronous=asynchronous)
    step(whole, [3, 5])
    checkpoints.wait()
    assert Checkpoints(tmp_path).resume(resumed) == 1
    step(resumed, [3, 5])
    assert resumed["model"].weight.tolist() == whole["model"].weight.tolist()
    assert resumed["model"].graph.to_dense().tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_saving_changes_nothing_in_the_run(tmp_path):
    expected = Run().steps(4)
    saved, found, checkpoints = Run(), [], Checkpoints(tmp_path)
    for step in range(4):
        checkpoints.save(step, saved.parts, asynchronous=step % 2 == 1)
        found += saved.steps(1)
    checkpoints.wait()
    assert found == expected


def test_values_of_every_kind_come_back(tmp_path):
    kept = {
        "plain": [None, True, 2**70, -0.0, 0.1, "ü\ud7ff", [], {}, (), (1, (2.5, "x"))],
        "keys": {0: {"a": 1}, "0a": [1, {"b": [torch.ones(2), {2: 3}]}], None: 4},
        "special": [float("inf"), float("-inf")],
        "array": np.arange(6.0).reshape(2, 3),
        "namespace": argparse.Namespace(lr=0.1),
        "bytes": b"\x00\xff",
        "complex": 1 + 2j,
        "odd keys": {(1, 2): "x"},
        "dtype": torch.bfloat16,
        "tuple": (torch.arange(3), "with a tensor"),
    }
    Checkpoints(tmp_path).save(1, {"kept": kept, "nan": float("nan"), "empty": {}})
    run = {"kept": None, "nan": None, "empty": None}
    assert Checkpoints(tmp_path).resume(run) == 1
    found = run["kept"]
    assert np.isnan(run["nan"]) and run["empty"] == {}
    assert (found.pop("array") == kept.pop("array")).all()
    assert same(found, kept)
    assert str(found["plain"][3]) == "-0.0"


DTYPES = "bool uint8 int8 int16 uint16 int32 uint32 int64 uint64 float16 bfloat16 float32 float64".split()


@pytest.mark.parametrize("dtype", [*DTYPES, "complex64", "complex128"])
def test_tensors_of_every_dtype_and_layout_come_back(dtype, tmp_path):
    dtype = getattr(torch, dtype)
    whole = torch.arange(24).reshape(2, 3, 4).to(dtype)
    tensors = {
        "plain": whole,
        "steps": whole[:, ::2].transpose(0, 2),
        "number": whole[1, 1, 1],
        "none": whole[:0],
        "again": whole,
    }
    Checkpoints(tmp_path).save(1, {"tensors": tensors})
    run = {"tensors": None}
    Checkpoints(tmp_path).resume(run)
    assert same(run["tensors"], tensors)
    assert all(each.shape == tensors[name].shape for name, each in run["tensors"].items())


def test_tied_parameters_are_written_once(tmp_path):
    model = nn.Sequential(nn.Linear(64, 64, bias=False), nn.Linear(64, 64, bias=False))
    model[1].weight = model[0].weight
    Checkpoints(tmp_path).save(1, {"model": model})
    (path,) = tmp_path.glob("*/*.safetensors")
    assert path.stat().st_size < 2 * 64 * 64 * 4
    expected = model[0].weight.detach().clone()
    torch.nn.init.zeros_(model[0].weight)
    Checkpoints(tmp_path).resume({"model": model})
    assert model[1].weight is model[0].weight and torch.equal(model[0].weight, expected)


def test_the_newest_stay_and_the_pointer_names_the_last_one(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep=2)
    for step in (5, 10, 15):
        checkpoints.save(step, {"step": step})
    assert sorted(os.listdir(tmp_path)) == ["000002-step-10", "000003-step-15", "latest"]
    assert (tmp_path / "latest").read_text() == "000003-step-15\n"
    run = {"step": None}
    assert checkpoints.resume(run, step=10) == 10 and run == {"step": 10}
    # The run has gone back: what it saves now is newer than what it saved then.
    checkpoints.save(12, {"step": 12})
    assert checkpoints.resume(run) == 12
    assert sorted(os.listdir(tmp_path)) == ["000003-step-15", "000004-step-12", "latest"]
    every = Checkpoints(tmp_path, keep=None)
    for step in range(4):
        every.save(step, {"step": step})
    assert len(os.listdir(tmp_path)) == 7


def test_a_run_without_checkpoints_begins_at_the_beginning(tmp_path):
    run = Run()
    assert Checkpoints(tmp_path / "none").resume(run.parts) is None
    assert not (tmp_path / "none").exists()
    with pytest.raises(CheckpointError, match="no checkpoint of step 3"):
        Checkpoints(tmp_path).resume(run.parts, step=3)
    with pytest.raises(ValueError, match="keep must be at least 1"):
        Checkpoints(tmp_path, keep=0)
    with pytest.raises(ValueError, match="not negative"):
        Checkpoints(tmp_path).save(-1, run.parts)
    with pytest.raises(TypeError, match="'str' object cannot be interpreted as an integer"):
        Checkpoints(tmp_path).save("3", run.parts)
    for given in (run.model, [("model", run.model)], {1: run.model}):
        with pytest.raises(TypeError, match="a run is a dictionary of its parts by name"):
            Checkpoints(tmp_path).save(1, given)
        with pytest.raises(TypeError, match="a run is a dictionary of its parts by name"):
            Checkpoints(tmp_path).resume(given)
    with pytest.raises(CheckpointError, match=r"config\.rule cannot be saved: .*lambda"):
        Checkpoints(tmp_path).save(1, {**run.parts, "config": {"rule": lambda x: x}})
    with pytest.raises(ValueError, match="is taken"):
        Checkpoints(tmp_path).save(1, {"random streams": 1})


def test_another_model_is_refused_and_nothing_is_loaded(tmp_path):
    Checkpoints(tmp_path).save(
        1, {"first": nn.Linear(2, 2), "model": nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))}
    )
    first = nn.Linear(2, 2)
    before = first.weight.detach().clone()
    with pytest.raises(CheckpointError) as error:
        Checkpoints(tmp_path).resume(
            {"first": first, "model": nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1)), "x": 1}
        )
    for said in (
        "nothing was loaded",
        "model.0.weight is [3, 2] there and [4, 2] here",
        "model.2.weight is missing",
        "model.1.bias is not expected",
        "x is missing",
    ):
        assert said in str(error.value)
    assert torch.equal(first.weight, before)
