"""Hooks that lose something on the way - half precision, 8 bits, PowerSGD - against what their papers define."""

import logging

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook, quantization_hooks
from distrt.parallel import DistributedDataParallel
from distrt.parallel.hooks.orthogonal import orthogonalize

SHAPES = [(6, 8), (12, 5), (7,), (4, 4)]
SIZE = 3


class Linear(nn.Module):
    """Its gradients are its inputs."""

    def __init__(self, dtype=torch.float64):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in SHAPES])

    def forward(self, inputs):
        return sum((weight * each).sum() for weight, each in zip(self.weights, inputs, strict=True))


def inputs_of(rank, step):
    rng = np.random.default_rng([rank, step])
    return [rng.standard_normal(shape) for shape in SHAPES]


def gradients(register, steps, dtype=torch.float64, bucket_cap_mb=25.0):
    """What each rank's gradients are after each step, and the state that ``register(model, group)`` gave."""

    def run(group):
        model = DistributedDataParallel(Linear(dtype), process_group=group, bucket_cap_mb=bucket_cap_mb)
        state = register(model, group)
        told = []
        for step in range(steps):
            model.zero_grad()
            model([torch.from_numpy(each).to(dtype) for each in inputs_of(group.rank(), step)]).backward()
            told.append([weight.grad.numpy().copy() for weight in model.module.weights])
        return told, state

    together = run_local(run, SIZE)
    for told, _ in together[1:]:
        for mine, first in zip(told, together[0][0], strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(mine, first, strict=True))
    return together[0][0], [state for _, state in together]


def means(step):
    return [
        np.mean(each, axis=0) for each in zip(*(inputs_of(rank, step) for rank in range(SIZE)), strict=True)
    ]


def power_sgd(hook=powerSGD_hook.powerSGD_hook, **options):
    def register(model, group):
        state = powerSGD_hook.PowerSGDState(
            group, start_powerSGD_iter=2, min_compression_rate=1.01, **options
        )
        model.register_comm_hook(state, hook)
        return state

    return register


def paper(matrices, q):
    """Algorithm 2 of Vogels et al. 2019 on all ranks' matrices, and the next Q; all in float64."""
    p = np.mean([matrix @ q for matrix in matrices], axis=0)
    p, _ = np.linalg.qr(p)
    q = np.mean([matrix.T @ p for matrix in matrices], axis=0)
    return p @ q.T, q


@pytest.mark.parametrize("bucket_cap_mb", [25, 1e-6], ids=["one bucket", "a bucket each"])
@pytest.mark.parametrize("columns", [1, 2, 3])
def test_power_sgd_is_the_papers_algorithm_with_error_feedback_and_warm_start(columns, bucket_cap_mb):
    told, states = gradients(power_sgd(matrix_approximation_rank=columns), 6, bucket_cap_mb=bucket_cap_mb)
    for step in (0, 1):
        for found, mean in zip(told[step], means(step), strict=True):
            np.testing.assert_allclose(found, mean, rtol=0, atol=1e-14)
    # The first factors are random: the first compressed step's P is taken from its result.
    for place in (0, 1):
        errors = [np.zeros(SHAPES[place]) for _ in range(SIZE)]
        q = None
        for step in range(2, 6):
            wanted = [inputs_of(rank, step)[place] + errors[rank] for rank in range(SIZE)]
            if q is None:
                p = np.linalg.svd(told[step][place])[0][:, :columns]
                approximation = p @ p.T @ np.mean(wanted, axis=0)
                q = np.mean([matrix.T @ p for matrix in wanted], axis=0)
            else:
                approximation, q = paper(wanted, np.linalg.qr(q)[0])
            np.testing.assert_allclose(told[step][place], approximation, rtol=0, atol=1e-9)
            errors = [matrix - approximation for matrix in wanted]
    for step in range(2, 6):  # a vector, and a matrix that is too small to be worth it
        np.testing.assert_allclose(told[step][2], means(step)[2], rtol=0, atol=1e-14)
    assert {state.iter for state in states} == {6}


@pytest.mark.parametrize("hook", [powerSGD_hook.powerSGD_hook, powerSGD_hook.batched_powerSGD_hook])
@pytest.mark.parametrize("bucket_cap_mb", [25, 1e-6], ids=["one bucket", "a bucket each"])
def test_what_power_sgd_has_not_given_is_in_the_errors(hook, bucket_cap_mb):
    """Gradients so far and the errors that are left add up to the true gradients."""
    steps = 9
    told, states = gradients(power_sgd(hook, matrix_approximation_rank=2), steps, bucket_cap_mb=bucket_cap_mb)
    true = np.concatenate([sum(means(step)[place] for step in range(steps)).ravel() for place in range(4)])
    given = np.concatenate([sum(each[place] for each in told).ravel() for place in range(4)])
    lengths = {131: 131, 144: 131, 49: 48, 64: 60, 9: 7}  # the batched hook's errors have its padding's, too
    lost = 0.0
    for index in states[0].error_dict:
        error = np.mean([state.error_dict[index].numpy() for state in states], axis=0)
        lost += error[: lengths.get(error.size, error.size)].sum()
    assert abs(true - given).max() > 0.1
    # The errors lie in the order of the buckets: so sums are compared.
    np.testing.assert_allclose((true - given).sum(), lost, rtol=0, atol=1e-9)


@pytest.mark.parametrize("bucket_cap_mb", [25, 1e-6])
def test_power_sgd_counts_what_it_saves(bucket_cap_mb, caplog):
    caplog.set_level(logging.INFO)
    _, states = gradients(power_sgd(matrix_approximation_rank=1), 4, bucket_cap_mb=bucket_cap_mb)
    before = 2 * (48 + 60 + 7 + 16)
    after = 2 * (14 + 17 + 7 + 8)
    assert states[0].compression_stats() == (before / after, before, after)
    assert any("Start to apply PowerSGD after 2 iterations." in each.message for each in caplog.records)
    assert any(f"total before compression {before // 2}" in each.message for each in caplog.records)


def test_an_epsilon_keeps_gradients_of_zeros_finite():
    def run(group):
        model = DistributedDataParallel(Linear(), process_group=group)
        power_sgd(orthogonalization_epsilon=1e-8)(model, group)
        for _ in range(5):
            model.zero_grad()
            model([torch.zeros(shape, dtype=torch.float64) for shape in SHAPES]).backward()
        return [weight.grad.numpy().copy() for weight in model.module.weights]

    assert all(not each.any() for each in run_local(run, 2)[0])


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_columns_become_orthonormal_and_span_the_same(columns):
    matrices = np.random.default_rng(1).standard_normal((3, 7, columns))
    found = torch.from_numpy(matrices.copy())
    orthogonalize(found)
    for matrix, q in zip(matrices, found.numpy(), strict=True):
        np.testing.assert_allclose(q.T @ q, np.eye(columns), atol=1e-12)
        np.testing.assert_allclose(q @ (q.T @ matrix), matrix, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    [("fp16_compress_hook", 2**-10), ("bf16_compress_hook", 2**-7)],
)
@pytest.mark.parametrize("bucket_cap_mb", [25, 1e-6])
def test_half_precision_is_off_by_its_rounding_only(name, tolerance, bucket_cap_mb):
    def register(model, group):
        model.register_comm_hook(group, getattr(default_hooks, name))

    def wrapped(model, group):
        wrapper = getattr(default_hooks, name.replace("hook", "wrapper"))
        model.register_comm_hook(group, wrapper(default_hooks.allreduce_hook))

    told, _ = gradients(register, 3, torch.float32, bucket_cap_mb)
    for step, found in enumerate(told):
        for mine, mean in zip(found, means(step), strict=True):
            assert mine.dtype == np.float32
            np.testing.assert_allclose(mine, mean, rtol=0, atol=4 * tolerance)
    again, _ = gradients(wrapped, 3, torch.float32, bucket_cap_mb)
    assert all(
        np.array_equal(a, b) for x, y in zip(told, again, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("bucket_cap_mb", [25, 1e-6])
@pytest.mark.parametrize("name", ["quantization_pertensor_hook", "quantization_perchannel_hook"])
def test_eight_bits_are_off_by_half_a_level_at_most(name, bucket_cap_mb):
    def register(model, group):
        model.register_comm_hook(group, getattr(quantization_hooks, name))

    told, _ = gradients(register, 3, torch.float32, bucket_cap_mb)
    for step, found in enumerate(told):
        reach = max(np.ptp(each) for rank in range(SIZE) for each in inputs_of(rank, step)) + 4
        for mine, mean in zip(found, means(step), strict=True):
            np.testing.assert_allclose(mine, mean, rtol=0, atol=reach / 255)
            assert not np.array_equal(mine, mean)


@pytest.mark.parametrize("start", [2, 5])
def test_training_with_compressed_gradients_gets_about_as_far(start):
    rng = np.random.default_rng(3)
    inputs, targets = rng.standard_normal((32, 6)), rng.integers(0, 3, 32)

    def loss_after(register):
        def run(group):
            torch.manual_seed(0)
            net = nn.Sequential(nn.Linear(6, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 3))
            model = DistributedDataParallel(net.double(), process_group=group)
            register(model, group)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            mine = slice(group.rank() * 16, group.rank() * 16 + 16)
            for _ in range(60):
                optimizer.zero_grad()
                outputs = model(torch.from_numpy(inputs[mine]))
                loss = nn.functional.cross_entropy(outputs, torch.from_numpy(targets[mine]))
                loss.backward()
                optimizer.step()
            return loss.item()

        return sum(run_local(run, 2)) / 2

    def register(model, group):
        state = powerSGD_hook.PowerSGDState(group, 2, start_powerSGD_iter=start)
        model.register_comm_hook(state, powerSGD_hook.powerSGD_hook)

    exact = loss_after(lambda model, group: None)
    assert exact < 0.2
    assert loss_after(register) < exact + 0.1
