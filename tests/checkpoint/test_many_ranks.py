"""Checkpoints of several ranks: each writes its part, all agree, and any number of ranks loads them."""

import os
import threading
import time

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.checkpoint import Checkpoints, writing
from distrt.comm.local import run_local
from distrt.core.errors import CheckpointError
from distrt.parallel import DistributedDataParallel
from tests.parallel.sharded_models import batches, data_parallel, join, loss_of, make, sharded, values

WRAPPERS = {
    "plain": lambda group: make("mlp"),
    "ddp": lambda group: data_parallel("mlp", group),
    "shard_optimizer": lambda group: DistributedDataParallel(
        make("mlp"), process_group=group, shard_optimizer=True
    ),
    "fully_shard": lambda group: sharded("mlp"),
}


def parts_of(wrapper, group):
    model = WRAPPERS[wrapper](group)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    return {"model": model, "optimizer": optimizer, "step": 0}


def train(parts, group, first, last):
    for batch in batches("mlp", last)[first:]:
        parts["optimizer"].zero_grad()
        loss_of(parts["model"], batch, group).backward()
        parts["optimizer"].step()
        parts["step"] += 1


def saved(wrapper, size, folder, steps=2):
    """Trains and saves; gives the parameters then, and after two more steps."""

    def run(group):
        join(group)
        parts = parts_of(wrapper, group)
        train(parts, group, 0, steps)
        Checkpoints(folder).save(steps, parts)
        then = values(parts["model"])
        train(parts, group, steps, steps + 2)
        return then, values(parts["model"])

    return run_local(run, size)[0]


def resumed(wrapper, size, folder, steps=2):
    def run(group):
        join(group)
        parts = parts_of(wrapper, group)
        assert Checkpoints(folder).resume(parts) == parts["step"] == steps
        then = values(parts["model"])
        train(parts, group, steps, steps + 2)
        return then, values(parts["model"])

    return run_local(run, size)[0]


@pytest.mark.parametrize("wrapper", ["ddp", "shard_optimizer", "fully_shard"])
def test_ranks_resume_bit_by_bit(wrapper, tmp_path):
    expected, found = saved(wrapper, 2, tmp_path), resumed(wrapper, 2, tmp_path)
    for mine, theirs in zip(found, expected, strict=True):
        assert all(map(np.array_equal, mine, theirs))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (("fully_shard", 3), ("fully_shard", 2)),
        (("fully_shard", 2), ("fully_shard", 4)),
        (("fully_shard", 3), ("ddp", 2)),
        (("shard_optimizer", 2), ("fully_shard", 3)),
        (("ddp", 4), ("plain", 1)),
        (("plain", 1), ("shard_optimizer", 2)),
    ],
)
def test_a_checkpoint_loads_under_another_wrapper_and_on_another_number_of_ranks(before, after, tmp_path):
    expected, found = saved(*before, tmp_path), resumed(*after, tmp_path)
    assert all(map(np.array_equal, found[0], expected[0]))
    assert all(map(np.allclose, found[1], expected[1]))


@pytest.mark.parametrize("wrapper", ["ddp", "fully_shard"])
def test_every_rank_writes_its_part_once(wrapper, tmp_path):
    saved(wrapper, 2, tmp_path)
    sizes = [path.stat().st_size for path in sorted(tmp_path.glob("*/*.safetensors"))]
    whole = sum(each.numel() for each in make("mlp").parameters()) * 3 * 8
    assert len(sizes) == 2 and min(sizes) > whole / 4
    assert whole < sum(sizes) < whole + 26_000  # headers, and the random streams of both


def test_each_rank_has_its_own_random_stream(tmp_path):
    def run(group):
        join(group)
        torch.manual_seed(group.rank())
        torch.rand(3)
        Checkpoints(tmp_path).save(1, {})
        expected = torch.rand(4).tolist()
        torch.manual_seed(7)
        Checkpoints(tmp_path).resume({})
        assert torch.rand(4).tolist() == expected
        return expected

    first, second = run_local(run, 2)
    assert first != second


@pytest.mark.parametrize("wrapper", ["ddp", "shard_optimizer", "fully_shard"])
def test_an_asynchronous_save_holds_the_state_of_its_call(wrapper, tmp_path, monkeypatch):
    copy = writing.Staging.copy

    def slow(staging, name, array):
        time.sleep(0.005)  # a step that did not wait would come first
        return copy(staging, name, array)

    monkeypatch.setattr(writing.Staging, "copy", slow)

    def run(group):
        join(group)
        parts = parts_of(wrapper, group)
        checkpoints = Checkpoints(tmp_path, keep=2)
        found = []
        for step in range(1, 5):
            train(parts, group, step - 1, step)
            checkpoints.save(step, parts, asynchronous=True)
            found.append(values(parts["model"]))
        checkpoints.wait()
        assert checkpoints.resume(parts, step=3) == 3
        assert all(map(np.array_equal, values(parts["model"]), found[2]))
        assert checkpoints.resume(parts) == 4
        return all(map(np.array_equal, values(parts["model"]), found[3]))

    assert all(run_local(run, 2))
    assert sorted(os.listdir(tmp_path)) == ["000003-step-3", "000004-step-4", "latest"]


def test_a_change_by_other_means_while_a_save_copies_is_an_error(tmp_path, monkeypatch):
    copy, may_copy = writing.Staging.copy, threading.Event()

    def slow(staging, name, array):
        if threading.current_thread() is not threading.main_thread():
            may_copy.wait(20)
        return copy(staging, name, array)

    monkeypatch.setattr(writing.Staging, "copy", slow)
    model = nn.Linear(4, 4)
    run = {"model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1)}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, run, asynchronous=True)
    with torch.no_grad():
        model.weight.mul_(2)
    may_copy.set()
    with pytest.raises(
        CheckpointError, match=r"model\.weight was changed while an asynchronous save copied it"
    ):
        checkpoints.wait()
    assert os.listdir(tmp_path) == []


class Unpicklable:
    def __reduce__(self):
        raise TypeError("this cannot be pickled")


@pytest.mark.parametrize("asynchronous", [False, True])
def test_what_one_rank_cannot_save_is_an_error_on_all(asynchronous, tmp_path):
    def run(group):
        join(group)
        checkpoints = Checkpoints(tmp_path)
        checkpoints.save(1, {"x": 1})
        with pytest.raises(CheckpointError, match="rank 1: x cannot be saved: this cannot be pickled"):
            checkpoints.save(2, {"x": Unpicklable() if group.rank() else 2}, asynchronous)
        run = {"x": None}
        return checkpoints.resume(run), run["x"]

    assert run_local(run, 2) == [(1, 1)] * 2
    assert sorted(os.listdir(tmp_path)) == ["000001-step-1", "latest"]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_full_disk_on_one_rank_is_an_error_on_all(failing, asynchronous, tmp_path, monkeypatch):
    whole = writing.disk.write_new

    def write_new(path, buffers):
        if path.endswith(f"{failing:04d}.safetensors") and "step-2" in path:
            raise OSError(28, "No space left on device")
        return whole(path, buffers)

    monkeypatch.setattr(writing.disk, "write_new", write_new)

    def run(group):
        join(group)
        checkpoints = Checkpoints(tmp_path, timeout_s=20.0)
        state = {f"w{number}": torch.ones(8) for number in range(4)}
        checkpoints.save(1, state)
        with pytest.raises(CheckpointError, match=f"rank {failing}: .*No space left on device"):
            checkpoints.save(2, state, asynchronous)
            checkpoints.wait()
        return checkpoints.resume(state)

    assert run_local(run, 2) == [1, 1]
    assert sorted(os.listdir(tmp_path)) == ["000001-step-1", "latest"]


def test_a_part_that_does_not_come_is_named(tmp_path, monkeypatch):
    leave = writing.Save._leave
    monkeypatch.setattr(
        writing.Save, "_leave", lambda save, note: None if save.ranks.rank else leave(save, note)
    )

    def run(group):
        join(group)
        checkpoints = Checkpoints(tmp_path, timeout_s=0.2)
        began = time.monotonic()
        with pytest.raises(
            CheckpointError, match=r"rank 1's part did not come .* do all ranks see the same folder"
        ):
            checkpoints.save(1, {"x": torch.ones(2)})
        return time.monotonic() - began < 10

    assert all(run_local(run, 2))
    assert os.listdir(tmp_path) == []


def test_damage_that_one_rank_sees_sends_all_to_the_checkpoint_before(tmp_path):
    def run(group):
        join(group)
        parts = parts_of("fully_shard", group)
        checkpoints = Checkpoints(tmp_path)
        for step in (1, 2):
            train(parts, group, step - 1, step)
            checkpoints.save(step, parts)
            if step == 1:
                expected = values(parts["model"])
        group.barrier()
        if group.rank() == 0:
            (path,) = tmp_path.glob("000002-step-2/*-0001.safetensors")
            data = bytearray(path.read_bytes())
            data[-5] ^= 4
            path.write_bytes(data)
        group.barrier()
        if group.rank() == 0:
            with pytest.warns(
                UserWarning, match="step 2 is passed over: rank 1: .*-0001.safetensors is damaged"
            ):
                step = checkpoints.resume(parts)
        else:
            step = checkpoints.resume(parts)
        return step == 1 and all(map(np.array_equal, values(parts["model"]), expected))

    assert all(run_local(run, 2))


def test_more_ranks_than_rows(tmp_path):
    def run(group):
        join(group)
        torch.manual_seed(0)
        model = torch.distributed.fsdp.fully_shard(nn.Linear(3, 2))
        Checkpoints(tmp_path).save(1, {"model": model})
        expected = values(model)
        torch.manual_seed(1)
        other = torch.distributed.fsdp.fully_shard(nn.Linear(3, 2))
        Checkpoints(tmp_path).resume({"model": other})
        return all(map(np.array_equal, values(other), expected))

    assert all(run_local(run, 4))
