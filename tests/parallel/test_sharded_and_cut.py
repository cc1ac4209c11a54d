"""fully_shard over layers that tensor parallelism has cut, on threads: what the whole model gives in one process."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.distributed import checkpoint as dcp
from distrt.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
)
from distrt.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from distrt.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
from distrt.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from tests.multiprocess.conftest import ROOT
from tests.multiprocess.side_by_side import for_distrt
from tests.parallel.sharded_models import join

SCRIPT = {"__name__": "sharded_and_cut"}
exec(for_distrt((ROOT / "tests/multiprocess/sharded_and_cut.py").read_text()), SCRIPT)
cut_and_sharded, model_of, batch_of = SCRIPT["cut_and_sharded"], SCRIPT["model_of"], SCRIPT["batch_of"]


def mesh_of(group, shape=(2, 2), names=("dp", "tp")):
    join(group)
    return torch.distributed.init_device_mesh("cpu", shape, mesh_dim_names=names)


def step(model, optimizer, number, rank):
    loss = model(batch_of(number, rank)).square().mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()


def alone(steps, ranks=2):
    """The whole model, which sees all ranks' batches."""
    model = model_of()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for number in range(steps):
        sum(model(batch_of(number, rank)).square().mean() / ranks for rank in range(ranks)).backward()
        optimizer.step()
        optimizer.zero_grad()
    return {name: each.detach() for name, each in model.named_parameters()}


def differ_least(found, expected):
    for name, each in expected.items():
        np.testing.assert_allclose(found[name].tolist(), each.tolist(), atol=1e-12, err_msg=name)


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (2, 1)])
def test_it_trains_as_the_whole_model(shape):
    def run(group):
        mesh = mesh_of(group, shape)
        model = cut_and_sharded(mesh)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for number in range(3):
            step(model, optimizer, number, mesh["dp"].get_local_rank())
        return {name: each.full_tensor().detach() for name, each in model.named_parameters()}

    for found in run_local(run, shape[0] * shape[1]):
        differ_least(found, alone(3, shape[0]))


@pytest.mark.ci
def test_it_trains_with_replicas_of_the_parts():
    def run(group):
        mesh = mesh_of(group, (2, 2, 2), ("copies", "dp", "tp"))
        model = cut_and_sharded(mesh, ("copies", "dp"))
        assert model[0].up.weight.placements[0] == Replicate()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for number in range(2):
            step(model, optimizer, number, 2 * mesh["copies"].get_local_rank() + mesh["dp"].get_local_rank())
        return {name: each.full_tensor().detach() for name, each in model.named_parameters()}

    for found in run_local(run, 8):
        differ_least(found, alone(2, 4))


def test_whole_states_go_out_and_in(tmp_path):
    options = StateDictOptions(full_state_dict=True)

    def run(group):
        mesh = mesh_of(group)
        model = cut_and_sharded(mesh)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        step(model, optimizer, 0, mesh["dp"].get_local_rank())
        whole = get_model_state_dict(model, options=options)
        of_optimizer = get_optimizer_state_dict(model, optimizer, options=options)
        assert of_optimizer["state"]["0.up.weight"]["exp_avg"].shape == (16, 8)
        dcp.save({"model": get_model_state_dict(model)}, checkpoint_id=tmp_path)
        other = cut_and_sharded(mesh)
        parts = {"model": get_model_state_dict(other)}
        dcp.load(parts, checkpoint_id=tmp_path)
        set_model_state_dict(other, parts["model"])
        third = cut_and_sharded(mesh)
        set_model_state_dict(third, whole, options=options)
        for each in (other, third):
            differ_least({name: p.full_tensor() for name, p in each.named_parameters()}, whole)
        return whole

    for found in run_local(run, 4):
        differ_least(found, alone(1))
    plain = {"model": {name: torch.zeros_like(each) for name, each in model_of().state_dict().items()}}

    def load(group):
        join(group)
        dcp.load(plain, checkpoint_id=tmp_path)

    run_local(load, 1)
    differ_least(plain["model"], alone(1))


def test_computing_in_another_dtype_gathers_copies():
    def run(group):
        mesh = mesh_of(group)
        policy = MixedPrecisionPolicy(param_dtype=torch.float32, reduce_dtype=torch.float64)
        model = cut_and_sharded(mesh, mp_policy=policy)
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
        model(batch_of(0, mesh["dp"].get_local_rank())).square().mean().backward()
        optimizer.step()
        return {name: each.full_tensor().detach() for name, each in model.named_parameters()}

    model = model_of()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2)
    sum(model(batch_of(0, rank)).square().mean() / 2 for rank in range(2)).backward()
    optimizer.step()
    for found in run_local(run, 4):
        for name, each in model.named_parameters():
            np.testing.assert_allclose(found[name].tolist(), each.tolist(), atol=1e-6, err_msg=name)


def test_operations_on_parts_of_parts_mean_the_whole():
    def run(group):
        mesh = mesh_of(group)
        weight = cut_and_sharded(mesh)[0].up.weight
        whole = weight.full_tensor().detach()
        for call in (lambda w: w * 2, lambda w: w.t(), lambda w: w.sum(0), lambda w: w @ w.T, torch.relu):
            assert torch.allclose(call(weight).full_tensor(), call(whole))
        assert abs(weight.norm().item() - whole.norm().item()) < 1e-12
        weight.grad = distribute_tensor(whole, weight.device_mesh, [Shard(0), Shard(0)]).redistribute(
            placements=weight.placements
        )
        assert torch.equal(weight.grad.full_tensor(), whole)
        with torch.no_grad():
            weight.copy_(weight.grad * 3)
        assert torch.equal(weight.full_tensor(), whole * 3)

    run_local(run, 4)


def test_meshes_have_one_parent():
    def run(group):
        mesh = mesh_of(group)
        three = torch.distributed.init_device_mesh("cpu", (4,), mesh_dim_names=("all",))
        layer = parallelize_module(nn.Linear(4, 4), mesh["tp"], ColwiseParallel())
        with pytest.raises(AssertionError, match="same parent mesh"):
            fully_shard(layer, mesh=three)
        assert isinstance(layer.weight, DTensor) and layer.weight.placements == (Shard(0),)

    run_local(run, 4)
