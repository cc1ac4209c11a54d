"""FullyShardedDataParallel, the wrapper of before fully_shard, on threads."""

import functools

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.distributed.fsdp import (
    FullOptimStateDictConfig,
    FullStateDictConfig,
    MixedPrecision,
    ShardingStrategy,
    StateDictType,
)
from distrt.distributed.fsdp import FullyShardedDataParallel as FSDP  # noqa: N817 - as users name it
from distrt.distributed.fsdp.wrap import (
    CustomPolicy,
    ModuleWrapPolicy,
    enable_wrap,
    size_based_auto_wrap_policy,
    transformer_auto_wrap_policy,
    wrap,
)
from distrt.distributed.tensor import DTensor
from tests.parallel.sharded_models import batches, data_parallel, join, loss_of, make, train, values

LAYERS = functools.partial(transformer_auto_wrap_policy, transformer_layer_cls={nn.TransformerEncoderLayer})
LINEARS = ModuleWrapPolicy({nn.Linear})


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("mlp", None),
        ("mlp", LINEARS),
        ("mlp", functools.partial(size_based_auto_wrap_policy, min_num_params=200)),
        ("transformer", LAYERS),
        ("checkpointed", LINEARS),
    ],
)
def test_parameters_are_those_of_data_parallelism_to_the_bit(name, policy, size):
    def run(group):
        join(group)
        model = FSDP(make(name), auto_wrap_policy=policy)
        train(model, name, group)
        plain = data_parallel(name, group)
        train(plain, name, group)
        return values(model), values(plain)

    for found, expected in run_local(run, size):
        assert all(map(np.array_equal, found, expected))


@pytest.mark.parametrize("strategy", [ShardingStrategy.SHARD_GRAD_OP, ShardingStrategy.HYBRID_SHARD])
def test_a_strategy_does_not_change_parameters(strategy):
    def run(group):
        join(group)
        model = FSDP(make("mlp"), sharding_strategy=strategy, auto_wrap_policy=LINEARS)
        train(model, "mlp", group)
        plain = data_parallel("mlp", group)
        train(plain, "mlp", group)
        return all(map(np.array_equal, values(model), values(plain)))

    assert all(run_local(run, 2))


def test_policies_choose_what_is_wrapped():
    def run(group):
        join(group)
        model = FSDP(make("mlp"), auto_wrap_policy=LINEARS)
        assert len(FSDP.fsdp_modules(model)) == 4
        assert FSDP.fsdp_modules(model, root_only=True) == [model]
        model = FSDP(make("mlp"), auto_wrap_policy={nn.Linear})
        assert len(FSDP.fsdp_modules(model)) == 4
        by_size = functools.partial(size_based_auto_wrap_policy, min_num_params=280)
        model = FSDP(make("mlp"), auto_wrap_policy=by_size)
        assert [type(each) is FSDP for each in model.module] == [True, False, False, False, False]
        model = FSDP(make("mlp"), auto_wrap_policy=CustomPolicy(lambda each: isinstance(each, nn.Tanh)))
        assert type(model.module[1]) is FSDP
        with pytest.raises(ValueError, match="should return False/True or a kwarg dict"):
            FSDP(make("mlp"), auto_wrap_policy=CustomPolicy(lambda each: None))
        with pytest.raises(ValueError, match="to not already have FSDP applied"):
            FSDP(nn.Sequential(FSDP(nn.Linear(2, 2))), auto_wrap_policy=LINEARS)
        with enable_wrap(wrapper_cls=FSDP):
            assert type(wrap(nn.Linear(2, 2))) is FSDP
        assert type(wrap(nn.Linear(2, 2))) is nn.Linear

    run_local(run, 1)


def test_states_have_the_names_and_values_of_the_model_without_wrappers():
    def run(group):
        join(group)
        model = FSDP(make("mlp"), auto_wrap_policy=LINEARS)
        plain = make("mlp").state_dict()
        state = model.state_dict()
        assert list(state) == list(plain)
        assert all(np.array_equal(state[key].numpy(), plain[key].numpy()) for key in plain)
        config = FullStateDictConfig(offload_to_cpu=True, rank0_only=True)
        with FSDP.state_dict_type(model, StateDictType.FULL_STATE_DICT, config):
            first = model.state_dict()
        assert FSDP.get_state_dict_type(model).state_dict_config == FullStateDictConfig()
        with FSDP.state_dict_type(model, StateDictType.SHARDED_STATE_DICT):
            parts = model.state_dict()
        assert all(isinstance(each, DTensor) for each in parts.values())
        other = FSDP(make("mlp", seed=5), auto_wrap_policy=LINEARS)
        other.load_state_dict(state)
        assert all(map(np.array_equal, values(other), values(model)))
        return len(first)

    assert run_local(run, 2) == [6, 0]


@pytest.mark.parametrize("rank0_only", [False, True])
def test_training_goes_on_from_an_optimizers_state(rank0_only):
    def run(group):
        join(group)
        model = FSDP(make("mlp"), auto_wrap_policy=LINEARS)
        optimizer = train(model, "mlp", group, steps=2)
        with FSDP.state_dict_type(
            model,
            StateDictType.FULL_STATE_DICT,
            FullStateDictConfig(),
            FullOptimStateDictConfig(rank0_only=rank0_only),
        ):
            state, inner = model.state_dict(), FSDP.optim_state_dict(model, optimizer)
        if rank0_only and group.rank():
            assert inner == {}
            inner = FSDP.full_optim_state_dict(model, optimizer, rank0_only=False)
        elif rank0_only:
            FSDP.full_optim_state_dict(model, optimizer, rank0_only=False)
        other = FSDP(make("mlp", seed=4), auto_wrap_policy=LINEARS)
        resumed = torch.optim.AdamW(other.parameters(), lr=0.3)
        other.load_state_dict(state)
        resumed.load_state_dict(FSDP.optim_state_dict_to_load(other, resumed, inner))
        for each, stepping in ((model, optimizer), (other, resumed)):
            stepping.zero_grad()
            loss_of(each, batches("mlp", 3)[2], group).backward()
            stepping.step()
        return all(map(np.array_equal, values(model), values(other)))

    assert all(run_local(run, 2))


def test_a_whole_state_that_rank_0_has_is_cut_for_all():
    def run(group):
        join(group)
        model = FSDP(make("mlp"), auto_wrap_policy=LINEARS)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        loss_of(model, batches("mlp", 1)[0], group).backward()
        optimizer.step()
        whole = FSDP.full_optim_state_dict(model, optimizer)
        parts = FSDP.scatter_full_optim_state_dict(None if group.rank() else whole, model, optim=optimizer)
        held = optimizer.state_dict()
        assert parts["param_groups"][0]["lr"] == 0.1 and parts["state"].keys() == held["state"].keys()
        return all(
            np.array_equal(parts["state"][n]["exp_avg"].to_local(), each["exp_avg"].to_local())
            for n, each in held["state"].items()
        )

    assert all(run_local(run, 2))


def test_whole_parameters_can_be_summoned_and_changed():
    def run(group):
        join(group)
        model = FSDP(make("mlp"), auto_wrap_policy=LINEARS)
        loss_of(model, batches("mlp", 1)[0], group).backward()
        with FSDP.summon_full_params(model, with_grads=True):
            shapes = [
                tuple(p.shape) == tuple(p._array.shape) == tuple(p.grad.shape) for p in model.parameters()
            ]
            with torch.no_grad():
                model.module[0].module.bias.fill_(3.0)
            assert [name for name, _ in model.named_parameters()] == list(make("mlp").state_dict())
        assert all(shapes)
        with FSDP.summon_full_params(model, writeback=False), torch.no_grad():
            model.module[0].module.bias.fill_(7.0)
        model.apply(lambda each: None)
        return model.state_dict()["0.bias"].unique().tolist()

    assert run_local(run, 2) == [[3.0]] * 2


def test_no_sync_and_clipping():
    data = batches("mlp", 2)

    def run(group):
        join(group)
        found = []
        for model in (FSDP(make("mlp"), auto_wrap_policy=LINEARS), data_parallel("mlp", group)):
            with model.no_sync():
                loss_of(model, data[0], group).backward()
            loss_of(model, data[1], group).backward()
            if isinstance(model, FSDP):
                total = model.clip_grad_norm_(0.1)
            else:
                total = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            whole = [getattr(p.grad, "full_tensor", lambda p=p: p.grad)().numpy() for p in model.parameters()]
            found.append((total.item(), whole))
        return found

    for (mine, gradients), (theirs, expected) in run_local(run, 2):
        assert mine == pytest.approx(theirs, rel=1e-12)
        for one, other in zip(gradients, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)


def test_ranks_take_over_rank_0s_values_where_asked_for():
    def run(group):
        join(group)
        model = FSDP(make("mlp", seed=group.rank()), auto_wrap_policy=LINEARS, sync_module_states=True)
        plain = make("mlp", seed=0).state_dict()
        return all(
            np.array_equal(each.numpy(), plain[key].numpy()) for key, each in model.state_dict().items()
        )

    assert all(run_local(run, 2))


def test_mixed_precision_and_ignored_modules():
    def run(group):
        join(group)
        model = make("mlp", torch.float32)
        kept = model[4].weight
        precision = MixedPrecision(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        wrapped = FSDP(nn.Sequential(*list(model)[:4]), mixed_precision=precision, auto_wrap_policy=LINEARS)
        out = wrapped(torch.ones(2, 8))
        out.float().sum().backward()
        ignoring = FSDP(model, ignored_modules=[model[4]])
        return out.dtype, next(wrapped.parameters()).grad.dtype, ignoring.module[4].weight is kept

    assert run_local(run, 2) == [(torch.bfloat16, torch.float32, True)] * 2


def test_the_wrapper_shows_what_is_inside():
    def run(group):
        join(group)
        model = FSDP(make("mlp"))
        assert model[1] is model.module[1]
        inner = nn.Linear(2, 3)
        assert FSDP(inner).in_features == 2
        with pytest.raises(AttributeError, match="nothing"):
            _ = model.nothing
        with pytest.raises(ValueError, match="both process_group and device_mesh"):
            FSDP(inner, process_group=group, device_mesh=torch.distributed.init_device_mesh("cpu", (1,)))
        with pytest.warns(FutureWarning, match="NO_SHARD"):
            FSDP(nn.Linear(2, 2), sharding_strategy=ShardingStrategy.NO_SHARD)

    run_local(run, 1)
