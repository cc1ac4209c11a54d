"""``distrt.distributed.checkpoint`` on several ranks: parts of tensors, errors on all, saves in the background."""

import os
import warnings

import numpy as np
import pytest

import distrt as torch
import distrt.distributed.checkpoint as dcp
from distrt.comm.local import run_local
from distrt.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from distrt.distributed.tensor import DTensor
from tests.parallel.sharded_models import batches, join, loss_of, make, sharded, values


def state_of(group, seed_steps):
    model = sharded("mlp") if group.size() > 1 else make("mlp")
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    for batch in batches("mlp", seed_steps):
        optimizer.zero_grad()
        loss_of(model, batch, group).backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize(("before", "after"), [(2, 2), (2, 3), (3, 1), (1, 2)])
def test_a_sharded_state_loads_on_any_number_of_ranks(before, after, tmp_path):
    def save(group):
        join(group)
        model, optimizer = state_of(group, 3)
        state = dict(zip(("model", "optim"), get_state_dict(model, optimizer), strict=True))
        dcp.save(state, checkpoint_id=tmp_path)
        return values(model)

    def load(group):
        join(group)
        model, optimizer = state_of(group, 1)
        state = dict(zip(("model", "optim"), get_state_dict(model, optimizer), strict=True))
        dcp.load(state, checkpoint_id=tmp_path)
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optim"])
        whole = get_state_dict(model, optimizer)[1]["state"]["0.weight"]["exp_avg"]
        whole = whole.full_tensor() if isinstance(whole, DTensor) else whole
        return values(model), whole.numpy().copy(), float(optimizer.state_dict()["state"][0]["step"])

    expected = run_local(save, before)[0]
    for found, average, steps in run_local(load, after):
        assert all(map(np.array_equal, found, expected))
        assert steps == 3.0 and average.any()


def test_an_error_of_one_rank_is_raised_on_all(tmp_path):
    def run(group):
        join(group)
        dcp.save({"a": torch.ones(2), "b": 1}, checkpoint_id=tmp_path)
        with pytest.raises(dcp.CheckpointException) as found:
            dcp.load({"a": torch.ones(2 + group.rank())}, checkpoint_id=tmp_path)
        (rank, (error, _)), *rest = found.value.failures.items()
        assert rank == 1 and not rest and isinstance(error, ValueError)
        assert "Size mismatch between saved torch.Size([2]) and current: torch.Size([3]) for a" in str(
            found.value
        )
        with pytest.raises(dcp.CheckpointException) as found:
            dcp.save({"x": (lambda: 1) if group.rank() else 1}, checkpoint_id=tmp_path / "other")
        assert list(found.value.failures) == [1]
        writer = dcp.FileSystemWriter(tmp_path, overwrite=False)
        with pytest.raises(dcp.CheckpointException, match="Checkpoint already exists"):
            dcp.save({"a": 1}, storage_writer=writer)
        values = {"a": torch.zeros(2)}
        dcp.load(values, checkpoint_id=tmp_path)
        return values["a"].tolist()

    assert run_local(run, 2) == [[1.0, 1.0]] * 2


def test_a_save_in_the_background_ends_on_all_ranks(tmp_path):
    def run(group):
        join(group)
        values = {f"w{number}": torch.full((3,), float(number)) for number in range(4)}
        future = dcp.async_save(values, checkpoint_id=tmp_path)
        for each in values.values():
            each.zero_()
        names = sorted(future.result(60).state_dict_metadata)
        group.barrier()
        dcp.load(values, checkpoint_id=tmp_path)
        return names, [each.tolist()[0] for each in values.values()]

    assert run_local(run, 2) == [(["w0", "w1", "w2", "w3"], [0.0, 1.0, 2.0, 3.0])] * 2
    assert len(list(tmp_path.iterdir())) == 3  # the manifest, and a file for each rank


@pytest.mark.parametrize("failing", [0, 1])
def test_a_save_in_the_background_that_fails_says_so_on_all_ranks(failing, tmp_path, monkeypatch):
    from distrt.checkpoint import disk

    whole, fails = disk.write_new, []

    def write_new(path, buffers):
        if fails and path.endswith(f"{failing:04d}.safetensors"):
            raise OSError(28, "No space left on device")
        return whole(path, buffers)

    monkeypatch.setattr(disk, "write_new", write_new)

    def run(group):
        join(group)
        values = {f"w{number}": torch.full((3,), float(number)) for number in range(4)}
        dcp.save(values, checkpoint_id=tmp_path)
        group.barrier()
        fails.append(True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rank 0's, of the checkpoint that is there
            future = dcp.async_save({name: each + 1 for name, each in values.items()}, checkpoint_id=tmp_path)
        error = str(future.exception(60))
        group.barrier()
        dcp.load(values, checkpoint_id=tmp_path)
        return error, values["w1"].tolist()

    for rank, (error, first) in enumerate(run_local(run, 2)):
        assert first == [1.0] * 3
        assert ("No space left" if rank in (0, failing) else "rank 0 has not completed") in error
    assert len(os.listdir(tmp_path)) == 3


def test_damage_is_named_and_nothing_is_changed(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save({"a": torch.ones(2), "b": torch.ones(2)}, checkpoint_id=tmp_path)
        (path,) = tmp_path.glob("*.safetensors")
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        values = {"a": torch.zeros(2), "b": torch.zeros(2)}
        with pytest.raises(dcp.CheckpointException, match="the bytes of 'b' have another checksum"):
            dcp.load(values, checkpoint_id=tmp_path)
        assert not values["a"].any()
