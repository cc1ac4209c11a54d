"""Gradients lie in memory as their parameters do (channels_last), in buckets and out of them, as PyTorch's do."""

import numpy as np
import pytest

import distrt as torch
from distrt import nn
from distrt.comm.local import run_local
from distrt.parallel import DistributedDataParallel

LAST = torch.channels_last


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 2),
    )


def train(model, hook=None, passes=3):
    """The gradients of each pass with their strides, then the strides of the momentum."""
    images = torch.arange(2 * 3 * 8 * 8.0).view(2, 3, 8, 8).sin()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    if hook is not None:
        model.register_comm_hook(None, hook)
    told = []
    for _ in range(passes):
        optimizer.zero_grad()
        model(images).square().sum().backward()
        told += [(each.grad.stride(), each.grad.numpy().copy()) for each in model.parameters()]
        optimizer.step()
    return told, [optimizer.state[each]["momentum_buffer"].stride() for each in model.parameters()]


def halve_the_gradients(state, bucket):
    """A hook with a buffer of its own: two ranks with one batch have the same gradients."""
    bucket.set_buffer(bucket.buffer() * 2)
    for gradient, parameter in zip(bucket.gradients(), bucket.parameters(), strict=True):
        assert gradient.stride() == parameter.stride()
        gradient /= 2
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


CASES = {
    "before it is wrapped": lambda group: DistributedDataParallel(
        network().to(memory_format=LAST), process_group=group
    ),
    "after it is wrapped": lambda group: DistributedDataParallel(network(), process_group=group).to(
        memory_format=LAST
    ),
    "without a wrapper": lambda group: network().to(memory_format=LAST),
}


@pytest.mark.parametrize("case", CASES)
def test_a_model_that_is_put_to_channels_last_has_such_gradients(case):
    expected, _ = train(network())
    for told, momentum in run_local(lambda group: train(CASES[case](group)), 2):
        for (stride, gradient), (_, plain) in zip(told, expected, strict=True):
            assert stride == ((27, 1, 9, 3) if gradient.ndim == 4 else torch.from_numpy(plain).stride())
            np.testing.assert_allclose(gradient, plain, rtol=1e-4, atol=1e-5)
        assert momentum[0] == (27, 1, 9, 3)


def test_a_hook_sees_gradients_that_lie_as_their_parameters():
    def run(group):
        return train(CASES["before it is wrapped"](group), halve_the_gradients)

    (expected, _), ((told, _), _) = train(network()), run_local(run, 2)
    for (_, gradient), (_, plain) in zip(told, expected, strict=True):
        np.testing.assert_allclose(gradient, plain, rtol=1e-4, atol=1e-5)


def test_what_was_added_up_stays_when_the_model_is_put_to_channels_last():
    def run(group):
        model = DistributedDataParallel(network(), process_group=group)
        images = torch.ones(2, 3, 8, 8) + group.rank()
        for layout in (torch.contiguous_format, torch.contiguous_format, LAST, torch.contiguous_format):
            model.to(memory_format=layout)
            model(images).sum().backward()
        return [each.grad.numpy().copy() for each in model.parameters()]

    def once(group):
        model = DistributedDataParallel(network(), process_group=group)
        model(torch.ones(2, 3, 8, 8) + group.rank()).sum().backward()
        return [each.grad.numpy() * 4 for each in model.parameters()]

    for found, expected in zip(run_local(run, 2)[0], run_local(once, 2)[0], strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-3)


def test_the_gradient_of_a_parameter_with_gaps_has_none():
    parameter = torch.ones(4, 6)[:, ::2].requires_grad_()
    (parameter * 2).sum().backward()
    assert parameter.stride() == (6, 2) and parameter.grad.stride() == (3, 1)
    turned = torch.ones(4, 6).t().requires_grad_()
    (turned.t() * 2).sum().backward()
    assert turned.grad.stride() == (1, 6)
    (torch.ones(6, 4) * turned).sum().backward()
    assert turned.grad.stride() == (1, 6) and (turned.grad == 3).all()
