"""SyncBatchNorm on threads: ranks together normalise as one process with the whole batch, however it is divided."""

import copy
import functools
import inspect

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import AutogradError, CollectiveMismatch, DtypeError, ShapeError
from distrt.nn.parallel import DistributedDataParallel, NaiveDDP
from tests.oracles import require_torch
from tests.parallel.batch_statistics import net, parts, trained

DIVISIONS = [(4, 4), (1, 7), (3, 0, 5), (0, 8), (0, 2, 0, 6), (1, 1)]
SHAPES = [(), (5,), (2, 3), (2, 1, 3)]


def normalised(layer, inputs, weights):
    """Output, gradients and state of one forward and backward pass."""
    input = torch.from_numpy(inputs).requires_grad_()
    output = layer(input)
    (output * torch.from_numpy(weights)).sum().backward()
    found = {"output": output, "input.grad": input.grad, **layer.state_dict()}
    found |= {f"{name}.grad": each.grad for name, each in layer.named_parameters()}
    return {name: value.detach().numpy().copy() for name, value in found.items()}


def plain(dims, **options):
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}[dims]
    return kind(3, **options)


def prepared(layer):
    """With other weights than 1 and 0."""
    if layer.affine:
        layer.weight.data.copy_(torch.tensor([0.5, -2.0, 3.0]))
        if layer.bias is not None:
            layer.bias.data.copy_(torch.tensor([1.0, 0.0, -1.0]))
    return layer


def compare(division, rest=(), rtol=0.0, atol=1e-12, dtype=torch.float64, **options):
    rng = np.random.default_rng(5)
    shape = (sum(division), 3, *rest)
    wide = np.float32 if dtype == torch.float32 else np.float64
    inputs = (rng.standard_normal(shape) * 2 + 7).astype(wide)
    weights = rng.standard_normal(shape).astype(wide)
    alone = normalised(prepared(plain(len(shape), dtype=dtype, **options)), inputs, weights)

    def run(group):
        layer = prepared(nn.SyncBatchNorm(3, dtype=dtype, process_group=group, **options))
        part = parts(division)[group.rank()]
        return normalised(layer, inputs[part], weights[part])

    together = run_local(run, len(division))
    for name, expected in alone.items():
        found = [each[name] for each in together]
        if name in ("output", "input.grad"):
            found = [np.concatenate(found)]
        elif name.endswith(".grad"):
            found = [np.sum(found, axis=0)]
        for each in found:
            np.testing.assert_allclose(each, expected, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("division", DIVISIONS, ids=str)
@pytest.mark.parametrize("rest", SHAPES, ids=str)
def test_ranks_together_normalise_as_one_process(division, rest):
    compare(division, rest)


@pytest.mark.parametrize(
    "options",
    [
        {"affine": False},
        {"bias": False},
        {"track_running_stats": False},
        {"momentum": None},
        {"momentum": 0.7, "eps": 0.5},
        {"affine": False, "track_running_stats": False},
    ],
    ids=str,
)
def test_every_option_means_what_it_means_in_one_process(options):
    compare((3, 0, 5), (2,), **options)


def test_in_float32_statistics_are_combined_in_float64():
    compare((3, 0, 5), (4, 4), dtype=torch.float32, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("weights", [torch.float32, None], ids=["float32 weights", "weights of its dtype"])
def test_half_precision_is_rounded_once(dtype, weights):
    rng = np.random.default_rng(5)
    inputs = torch.from_numpy(rng.standard_normal((8, 3, 4))).to(dtype)
    weights = weights or dtype

    def outcome(layer, input):
        input = input.clone().requires_grad_()
        output = layer(input)
        output.square().sum().backward()
        return (
            output.dtype,
            output.detach().float().numpy(),
            input.grad.float().numpy(),
            layer.running_var.float(),
        )

    def run(group):
        layer = nn.SyncBatchNorm(3, dtype=weights, process_group=group)
        return outcome(layer, inputs[parts((3, 5))[group.rank()]])

    expected = outcome(nn.BatchNorm1d(3, dtype=weights), inputs)
    first, second = run_local(run, 2)
    tolerance = 2.0 * torch.finfo(dtype).eps
    assert first[0] == second[0] == expected[0] == dtype
    np.testing.assert_allclose(
        np.concatenate([first[1], second[1]]), expected[1], rtol=tolerance, atol=tolerance
    )
    np.testing.assert_allclose(np.concatenate([first[2], second[2]]), expected[2], rtol=0, atol=8 * tolerance)
    assert torch.equal(first[3], second[3])
    assert torch.allclose(first[3], expected[3], rtol=tolerance)


def test_statistics_are_the_same_bits_on_all_ranks():
    def run(group):
        layer = nn.SyncBatchNorm(3, process_group=group)
        rng = np.random.default_rng(group.rank())
        for count in (2, 5, 1):
            layer(torch.from_numpy(rng.standard_normal((count + group.rank(), 3)).astype(np.float32)))
        return layer.running_mean.numpy().tobytes() + layer.running_var.numpy().tobytes()

    assert len(set(run_local(run, 3))) == 1


def test_a_large_mean_does_not_drown_the_variance():
    def run(group):
        layer = nn.SyncBatchNorm(1, process_group=group, momentum=1.0).double()
        layer(torch.tensor([[1e8 + 2.0 * group.rank()], [1e8 + 2.0 * group.rank() + 1]], dtype=torch.float64))
        return layer.running_var.item()

    assert run_local(run, 2) == pytest.approx([np.var([0, 1, 2, 3], ddof=1)] * 2)


@pytest.mark.parametrize(
    "wrapper",
    [NaiveDDP, DistributedDataParallel, functools.partial(DistributedDataParallel, bucket_cap_mb=1e-5)],
)
def test_data_parallel_training_gives_the_parameters_of_one_process(wrapper):
    divisions = [(4, 4, 0), (1, 0, 7), (3, 3, 2), (0, 8, 0), (2, 5, 1), (3, 2, 3)]

    def run(group):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(net(), group)
        return trained(wrapper(model, process_group=group), divisions, group.rank(), group.size())

    alone, together = trained(net(), divisions), run_local(run, 3)
    for found in together:
        assert found.keys() == alone.keys()
        for name, expected in alone.items():
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-12, err_msg=name)


def test_all_ranks_stop_together_when_one_has_no_more_input():
    def run(group):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(net(), group)
        model = DistributedDataParallel(model, process_group=group)
        steps = 0
        with (
            pytest.raises(RuntimeError, match="exhausted") as found,
            model.join(throw_on_early_termination=True),
        ):
            for _ in range((2, 4)[group.rank()]):
                model(torch.ones(2, 1, 4, 4, dtype=torch.float64)).sum().backward()
                steps += 1
        group.barrier()  # the group is as good as before
        return steps, str(found.value)

    assert run_local(run, 2) == [
        (2, "Rank 0 exhausted all inputs."),
        (2, "Detected at least one rank that exhausted inputs. Throwing across all ranks."),
    ]


def test_uneven_inputs_without_an_early_end_are_a_mismatch_not_a_hang():
    def run(group):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(net(), group)
        model = DistributedDataParallel(model, process_group=group)
        with pytest.raises(CollectiveMismatch, match="called different things"), model.join():
            for _ in range((2, 4)[group.rank()]):
                model(torch.ones(2, 1, 4, 4, dtype=torch.float64)).sum().backward()
        return True

    assert run_local(run, 2) == [True, True]


def test_even_inputs_can_be_joined():
    def run(group):
        model = nn.SyncBatchNorm.convert_sync_batchnorm(net(), group)
        model = DistributedDataParallel(model, process_group=group)
        with model.join():
            for _ in range(3):
                model(torch.ones(2, 1, 4, 4, dtype=torch.float64)).sum().backward()
        return model.module.norm.num_batches_tracked.item()

    assert run_local(run, 2) == [3, 3]


def test_evaluation_and_a_group_of_one_are_ordinary():
    def run(group):
        layer = nn.SyncBatchNorm(2, process_group=group).double().eval()
        before = group.sequence
        layer(torch.ones(1 + group.rank(), 2, dtype=torch.float64))
        untracked = nn.SyncBatchNorm(2, process_group=group, track_running_stats=False).eval()
        untracked(torch.arange(4.0).reshape(2, 2))
        return group.sequence - before

    assert run_local(run, 2) == [0, 0]
    assert run_local(lambda group: run(group) + (group.size() - 1), 1) == [0]


def test_without_a_process_group_it_is_batch_normalisation():
    input = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3, 2)))
    ours, plain_layer = nn.SyncBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    assert torch.equal(ours(input), plain_layer(input))
    assert torch.equal(ours.running_var, plain_layer.running_var)


def test_a_rank_outside_of_the_group_normalises_alone():
    from distrt.distributed import GroupMember

    layer = nn.SyncBatchNorm(3, process_group=GroupMember.NON_GROUP_MEMBER)
    assert layer(torch.randn(4, 3)).shape == (4, 3)


def test_an_empty_global_batch_changes_nothing():
    def run(group):
        layer = nn.SyncBatchNorm(3, process_group=group)
        input = torch.zeros(0, 3, 2, requires_grad=True)
        output = layer(input)
        output.sum().backward()
        return (
            output.shape == input.grad.shape == (0, 3, 2)
            and layer.weight.grad.tolist() == [0, 0, 0]
            and layer.running_var.tolist() == [1, 1, 1]
        )

    assert run_local(run, 2) == [True, True]


def test_what_is_refused():
    def run(group):
        layer = nn.SyncBatchNorm(3, process_group=group)
        with pytest.raises(ValueError, match=r"expected at least 2D input \(got 1D input\)"):
            layer(torch.ones(3))
        with pytest.raises(ValueError, match="SyncBatchNorm number of input channels should be non-zero"):
            layer(torch.ones(3, 0))
        with pytest.raises(ShapeError, match="running_mean should contain 4 elements not 3"):
            layer(torch.ones(3, 4))
        with pytest.raises(DtypeError, match="mixed dtype"):
            layer(torch.ones(3, 3, dtype=torch.float64))
        with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
            layer(torch.ones(group.rank(), 3))
        return layer(torch.ones(1, 3)).tolist()  # one value each is enough

    assert run_local(run, 2) == [[[0, 0, 0]]] * 2
    with pytest.raises(ValueError, match="Expected more than 1 value per channel when training"):
        nn.SyncBatchNorm(3)(torch.ones(1, 3))


def test_second_derivatives_are_refused():
    def run(group):
        input = torch.randn(4, 3, requires_grad=True)
        (gradient,) = torch.autograd.grad(
            nn.SyncBatchNorm(3, process_group=group)(input).square().sum(), input, create_graph=True
        )
        with pytest.raises(AutogradError, match="once_differentiable"):
            gradient.sum().backward()
        return True

    assert run_local(run, 2) == [True, True]


# -- conversion


def test_conversion_takes_over_parameters_statistics_and_mode():
    model = net()
    model.norm.eval()
    model.norm.running_mean.fill_(3)
    before = dict(model.named_parameters())
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(model, "the group")
    assert converted is model
    kinds = [type(each).__name__ for each in converted.modules() if "Norm" in type(each).__name__]
    assert kinds == ["SyncBatchNorm", "SyncBatchNorm"]
    assert all(each is before[name] for name, each in converted.named_parameters())
    assert list(converted.state_dict()) == list(net().state_dict())
    norm = converted.norm
    assert (norm.training, norm.momentum, norm.running_mean.tolist()) == (False, None, [3, 3])
    assert norm.process_group == converted.body[1].process_group == "the group"


def test_conversion_of_a_layer_gives_a_new_one():
    layer = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(layer)
    assert type(converted) is nn.SyncBatchNorm
    assert converted.weight is None and converted.running_mean is None and converted.process_group is None
    unshifted = nn.SyncBatchNorm.convert_sync_batchnorm(nn.BatchNorm2d(3, bias=False))
    assert unshifted.bias is None and unshifted.weight is not None
    kept = nn.SyncBatchNorm.convert_sync_batchnorm(nn.InstanceNorm2d(3))
    assert type(kept) is nn.InstanceNorm2d


def test_a_copy_talks_to_the_same_ranks():
    def run(group):
        model = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2, process_group=group))
        copied = copy.deepcopy(model)
        copied(torch.randn(3, 2))
        return (
            copied[1].process_group is group
            and copied[1].weight is not model[1].weight
            and model[1].num_batches_tracked.item() == 0
        )

    assert run_local(run, 2) == [True, True]


def test_names_texts_and_states_are_pytorchs():
    theirs = require_torch().nn
    for ours in (nn.modules.batchnorm.SyncBatchNorm, nn.modules.SyncBatchNorm, nn.SyncBatchNorm):
        assert ours is nn.SyncBatchNorm
    for options in ({}, {"affine": False}, {"bias": False, "momentum": None}, {"track_running_stats": False}):
        mine, expected = nn.SyncBatchNorm(4, **options), theirs.SyncBatchNorm(4, **options)
        assert repr(mine) == repr(expected)
        assert list(mine.state_dict()) == list(expected.state_dict())
    parameters = [list(inspect.signature(each.SyncBatchNorm).parameters) for each in (nn, theirs)]
    assert parameters[0] == parameters[1]
