"""DistributedDataParallel on threads (the reference transport): what it computes, and what it refuses."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.core.errors import AutogradError, CollectiveMismatch
from distrt.parallel import DistributedDataParallel, NaiveDDP
from distrt.parallel.hooks.all_reducing import average
from tests.parallel.models import MODELS, batches, make, train

STEPS = 20


def _train_parallel(wrapper, name, world_size, **options):
    data = batches(name, STEPS)

    def run(group):
        model = wrapper(make(name, seed=group.rank()), process_group=group, **options)
        return train(model, data, group.rank(), group.size())

    return run_local(run, world_size)


@pytest.mark.parametrize("bucket_cap_mb", [1e-5, 1e-3, None])
@pytest.mark.parametrize("world_size", [1, 2, 4])
@pytest.mark.parametrize("name", MODELS)
def test_ranks_together_train_as_one_process_on_the_global_batch(name, world_size, bucket_cap_mb):
    alone = train(make(name, seed=0), batches(name, STEPS))
    together = _train_parallel(DistributedDataParallel, name, world_size, bucket_cap_mb=bucket_cap_mb)
    for parameter, expected in alone.items():
        np.testing.assert_allclose(together[0][parameter], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_parameters_are_bit_equal_on_all_ranks(world_size):
    together = _train_parallel(DistributedDataParallel, "mlp", world_size)
    for other in together[1:]:
        for parameter, expected in together[0].items():
            assert np.array_equal(other[parameter], expected)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("bucket_cap_mb", [1e-6, 1e-3, 25])
def test_buckets_give_the_bits_of_naive_data_parallelism(name, bucket_cap_mb):
    naive = _train_parallel(NaiveDDP, name, 2)[0]
    bucketed = _train_parallel(DistributedDataParallel, name, 2, bucket_cap_mb=bucket_cap_mb)[0]
    for parameter, expected in naive.items():
        assert np.array_equal(bucketed[parameter], expected)


def test_rank_0_gives_its_values_to_the_others():
    def run(group):
        model = DistributedDataParallel(make("mlp", seed=group.rank()), process_group=group)
        return [p.detach().numpy().copy() for p in model.parameters()]

    first, second = run_local(run, 2)
    for mine, theirs, expected in zip(first, second, make("mlp", seed=0).parameters(), strict=True):
        assert np.array_equal(mine, theirs)
        assert np.array_equal(mine, expected.detach().numpy())


def test_gradients_are_views_of_the_bucket():
    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        model(torch.ones(2, 6, dtype=torch.float64)).sum().backward()
        buffers = [bucket.buffer for bucket in model.reducer.buckets]
        return all(any(np.shares_memory(p.grad.numpy(), b) for b in buffers) for p in model.parameters())

    assert all(run_local(run, 2))


def test_no_sync_adds_up_locally_and_the_next_pass_averages_the_sum():
    data = [(np.random.default_rng(n).standard_normal((4, 6))) for n in range(2)]

    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        part = slice(group.rank() * 2, group.rank() * 2 + 2)
        with model.no_sync():
            model(torch.from_numpy(data[0][part])).square().mean().backward()
        local = [p.grad.numpy().copy() for p in model.parameters()]
        model(torch.from_numpy(data[1][part])).square().mean().backward()
        return local, [p.grad.numpy().copy() for p in model.parameters()]

    (local_0, summed_0), (local_1, summed_1) = run_local(run, 2)
    assert any(not np.array_equal(a, b) for a, b in zip(local_0, local_1, strict=True))
    alone = make("mlp")
    for batch in data:
        alone(torch.from_numpy(batch)).square().mean().backward()
    for mine, theirs, parameter in zip(summed_0, summed_1, alone.parameters(), strict=True):
        assert np.array_equal(mine, theirs)
        np.testing.assert_allclose(mine, parameter.grad.numpy(), rtol=0, atol=1e-14)


def test_no_sync_is_over_after_an_exception():
    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        with pytest.raises(KeyError), model.no_sync():
            raise KeyError("inside")
        return model.require_backward_grad_sync

    assert run_local(run, 2) == [True, True]


def test_an_assigned_gradient_is_taken_into_the_bucket():
    def run(group):
        model = DistributedDataParallel(nn.Linear(2, 1, bias=False).double(), process_group=group)
        weight = model.module.weight
        weight.grad = torch.full((1, 2), float(group.rank()), dtype=torch.float64)
        model(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
        return weight.grad.numpy().copy()

    for gradient in run_local(run, 2):
        np.testing.assert_array_equal(gradient, [[1.5, 1.5]])


class _SometimesUnused(nn.Module):
    def __init__(self):
        super().__init__()
        self.always = nn.Linear(2, 2)
        self.rarely = nn.Linear(2, 2)
        self.never = nn.Linear(2, 2)

    def forward(self, x, use_rarely):
        return self.always(x) + (self.rarely(x) if use_rarely else 0)


def test_a_parameter_without_gradient_is_an_error_that_names_it():
    def run(group):
        model = DistributedDataParallel(_SometimesUnused(), process_group=group)
        with pytest.raises(AutogradError, match=r"never\.weight.*find_unused_parameters=True"):
            model(torch.ones(1, 2), True).sum().backward()
        return True

    assert run_local(run, 2) == [True, True]


def test_unused_parameters_may_be_unused_on_some_ranks():
    def run(group):
        model = DistributedDataParallel(_SometimesUnused(), process_group=group, find_unused_parameters=True)
        model(torch.ones(1, 2), use_rarely=group.rank() == 1).sum().backward()
        module = model.module
        return [module.always.weight.grad, module.rarely.weight.grad, module.never.weight.grad]

    for always, rarely, never in run_local(run, 2):
        np.testing.assert_array_equal(always.numpy(), np.ones((2, 2)))
        np.testing.assert_array_equal(rarely.numpy(), np.full((2, 2), 0.5))
        assert never is None


@pytest.mark.parametrize(
    ("odd_one", "expected"),
    [
        (lambda: nn.Linear(3, 2), r"rank 1: entry 0 is weight \[2, 3\].*but weight \[2, 2\]"),
        (lambda: nn.Linear(2, 2).double(), r"rank 1: entry 0 is weight \[2, 2\] torch\.float64"),
        (lambda: nn.Linear(2, 2, bias=False), r"rank 1: entry 1 is missing, but bias"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), r"rank 1: entry 0 is 0\.weight"),
        (lambda: nn.Linear(2, 2).requires_grad_(False), r"not trained"),
    ],
)
@pytest.mark.parametrize("wrapper", [NaiveDDP, DistributedDataParallel])
def test_models_that_differ_are_refused_on_every_rank(wrapper, odd_one, expected):
    def run(group):
        model = odd_one() if group.rank() == 1 else nn.Linear(2, 2)
        if wrapper is DistributedDataParallel and not any(p.requires_grad for p in model.parameters()):
            model.weight.requires_grad_(True)
        with pytest.raises(CollectiveMismatch, match=expected):
            wrapper(model, process_group=group)
        return True

    assert run_local(run, 2) == [True, True]


def test_buffers_follow_rank_0_until_the_first_evaluation():
    def run(group):
        model = DistributedDataParallel(nn.BatchNorm1d(1), process_group=group)
        at_start = []
        model.module.register_forward_pre_hook(
            lambda module, args: at_start.append(module.running_mean.item())
        )
        for _ in range(2):
            model(torch.tensor([[0.0], [1.0]]) + group.rank() * 10)
        own = model.module.running_mean.item()
        with torch.no_grad():
            model.eval()(torch.tensor([[0.0], [1.0]]))
        return at_start, own

    (starts_0, own_0), (starts_1, own_1) = run_local(run, 2)
    np.testing.assert_allclose(starts_0, [0.0, 0.05, 0.095], atol=1e-6)
    assert starts_1 == starts_0
    assert own_1 > own_0 + 0.9  # between the broadcasts each rank's own batch moves its copy


def test_two_wrapped_modules_in_one_program_keep_apart():
    def run(group):
        first = DistributedDataParallel(make("mlp", 1), process_group=group)
        second = DistributedDataParallel(make("mlp", 2), process_group=group)
        inputs = torch.full((2, 6), 1.0 + group.rank(), dtype=torch.float64)
        (first(inputs).sum() + second(inputs).sum()).backward()
        return [p.grad.numpy().copy() for p in [*first.parameters(), *second.parameters()]]

    together = run_local(run, 2)
    for mine, theirs in zip(*together, strict=True):
        assert np.array_equal(mine, theirs)


def test_state_dict_names_begin_with_module():
    def run(group):
        return list(DistributedDataParallel(nn.Linear(2, 1), process_group=group).state_dict())

    assert run_local(run, 2)[0] == ["module.weight", "module.bias"]


def test_a_module_without_trained_parameters_is_refused():
    def run(group):
        with pytest.raises(RuntimeError, match="not needed"):
            DistributedDataParallel(nn.ReLU(), process_group=group)
        with pytest.raises(ValueError, match="bucket_cap_mb must not be negative, got -1"):
            DistributedDataParallel(nn.Linear(1, 1), process_group=group, bucket_cap_mb=-1)
        return True

    assert run_local(run, 1) == [True]


@pytest.mark.parametrize("given", [-100, "gloo"])  # -100 is what new_group gives ranks that are not in it
def test_what_is_no_group_is_refused(given):
    with pytest.raises(
        TypeError, match=f"process_group must be a ProcessGroup that this rank is in, got {given!r}"
    ):
        DistributedDataParallel(nn.Linear(1, 1), process_group=given)


def _input(rank, rank_0=1.0):
    return torch.full((2, 6), rank_0 + rank, dtype=torch.float64)


def _gradients(model, group):
    """Those of a pass over this rank's input, begun anew."""
    model.zero_grad()
    model(_input(group.rank())).sum().backward()
    return [p.grad.numpy().copy() for p in model.parameters()]


def _require_averages(first, second):
    """Both ranks' ``_gradients`` are those of one process that has both inputs."""
    alone = make("mlp")
    (sum(alone(_input(rank)).sum() for rank in range(2)) / 2).backward()
    for mine, theirs, parameter in zip(first, second, alone.parameters(), strict=True):
        assert np.array_equal(mine, theirs)
        np.testing.assert_allclose(mine, parameter.grad.numpy(), rtol=0, atol=1e-12)


def test_a_pass_that_an_exception_ended_does_not_spoil_the_next():
    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        handle = model.module[2].weight.register_hook(lambda gradient: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(_input(group.rank())).sum().backward()
        handle.remove()
        return _gradients(model, group)

    _require_averages(*run_local(run, 2))


def test_what_a_broken_pass_has_launched_does_not_reach_the_next():
    """The last layer's bucket is on its way when the first layer's hook raises."""

    def run(group):
        model = DistributedDataParallel(
            make("mlp"), process_group=group, bucket_cap_mb=1e-5, find_unused_parameters=True
        )
        handle = model.module[0].weight.register_hook(lambda gradient: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(_input(group.rank(), rank_0=100.0)).sum().backward()
        handle.remove()
        return _gradients(model, group)

    _require_averages(*run_local(run, 2))


@pytest.mark.parametrize("fails_late", [False, True])
def test_a_hook_that_fails_once_does_not_spoil_the_next_pass(fails_late):
    def run(group):
        model = DistributedDataParallel(
            make("mlp"), process_group=group, bucket_cap_mb=1e-5, find_unused_parameters=True
        )
        calls = []

        def hook(state, bucket):
            calls.append(bucket.index())
            if len(calls) == 2 and not fails_late:
                raise ZeroDivisionError
            future = average(group, bucket.buffer())
            return future.then(lambda _: 1 / 0) if len(calls) == 2 else future

        model.register_comm_hook(None, hook)
        with pytest.raises(RuntimeError if fails_late else ZeroDivisionError):
            model(_input(group.rank(), rank_0=100.0)).sum().backward()
        return _gradients(model, group)

    _require_averages(*run_local(run, 2))


def test_what_an_unused_parameter_has_accumulated_is_kept():
    def run(group):
        model = DistributedDataParallel(_SometimesUnused(), process_group=group, find_unused_parameters=True)
        with model.no_sync():
            model(torch.ones(1, 2), True).sum().backward()
        model(torch.ones(1, 2), False).sum().backward()
        return model.module.rarely.weight.grad.numpy().copy()

    for gradient in run_local(run, 2):
        np.testing.assert_array_equal(gradient, np.ones((2, 2)))


def test_a_backward_pass_around_the_wrapper_stays_local():
    def run(group):
        model = DistributedDataParallel(make("mlp"), process_group=group)
        inputs = torch.ones(2, 6, dtype=torch.float64)
        model(inputs).sum().backward()
        model.zero_grad()
        if group.rank() == 0:
            model.module(inputs).sum().backward()
        group.barrier()
        return model.module[0].weight.grad is not None

    assert run_local(run, 2, timeout_s=10) == [True, False]


def test_freezing_and_unfreezing_keeps_a_parameter_in_its_bucket():
    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        model.module.weight.requires_grad_(False)
        model.module.weight.requires_grad_(True)
        model(torch.full((1, 1), float(group.rank()))).sum().backward()
        return model.module.weight.grad.item()

    assert run_local(run, 2) == [0.5, 0.5]


def test_backward_with_inputs_averages_too():
    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1, bias=False), process_group=group)
        model(torch.full((1, 1), float(group.rank()))).sum().backward(inputs=[model.module.weight])
        return model.module.weight.grad.item()

    assert run_local(run, 2) == [0.5, 0.5]


def test_converting_a_wrapped_model_is_refused_with_the_order_to_use():
    def run(group):
        model = DistributedDataParallel(nn.Linear(1, 1), process_group=group)
        with pytest.raises(RuntimeError, match="convert it first"):
            model.double()(torch.ones(1, 1, dtype=torch.float64))
        model = DistributedDataParallel(nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)), process_group=group)
        model.module[1].double()
        with pytest.raises(RuntimeError, match="was float32 when it was wrapped and is float64 now"):
            model(torch.ones(1, 1))
        return True

    assert run_local(run, 2) == [True, True]
