"""What backward keeps cannot be changed behind its back; what is frozen stays as it is."""

from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn


def test_an_index_may_be_reused_before_backward():
    x = torch.ones(3, requires_grad=True)
    index = torch.tensor([0, 1])
    picked = x[index]
    index.add_(1)
    picked.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("steer", ["target", "condition"])
def test_a_changed_steering_tensor_is_an_error(steer):
    x = torch.ones(2, 3, requires_grad=True)
    if steer == "target":
        changed = torch.tensor([0, 1])
        loss = nn.functional.cross_entropy(x, changed)
    else:
        changed = torch.ones(2, 3) > 0
        loss = torch.where(changed, x, 0.0).sum()
    changed.fill_(0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_leaf_frozen_after_forward_gets_no_gradient():
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).sum()
    x.requires_grad_(False)
    y.backward()
    assert x.grad is None


def test_hooks_outlive_a_freeze():
    x = torch.ones(1, requires_grad=True)
    seen = []
    x.register_hook(lambda gradient: seen.append(gradient.item()))
    x.requires_grad_(False)
    x.requires_grad_(True)
    (x * 3).sum().backward()
    assert seen == [3.0]


def test_backward_with_inputs_takes_each_once_and_non_leaves_too():
    x = torch.ones(2, requires_grad=True)
    hidden = x * 2
    (hidden * 3).sum().backward(inputs=[hidden, x, x])
    assert hidden.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [6.0, 6.0]


def test_an_optimizer_keeps_tied_memory_tied():
    first, second = nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)
    second.weight.data = first.weight.data.t()
    optimizer = torch.optim.SGD(second.parameters(), lr=0.5, momentum=0.9)
    second(torch.ones(1, 3)).sum().backward()
    before = first.weight.detach().numpy().copy()
    optimizer.step()
    np.testing.assert_array_equal(first.weight.detach().numpy(), second.weight.detach().numpy().T)
    np.testing.assert_array_equal(first.weight.detach().numpy(), before - 0.5)


def test_a_list_of_tensors_keeps_their_dtype():
    assert torch.tensor([torch.tensor(1.5), torch.tensor(2.5)]).dtype is torch.float32
    assert torch.tensor([torch.tensor(1), 2]).dtype is torch.int64


def test_an_array_in_a_state_is_refused_by_name_and_changes_no_parameter_of_its_own():
    model = nn.Linear(2, 1)
    before = model.bias.detach().numpy().copy()
    state = {"weight": torch.zeros(1, 2), "bias": np.zeros(1)}
    with pytest.raises(RuntimeError, match=r"\"bias\", expected torch\.Tensor"):
        model.load_state_dict(state)
    np.testing.assert_array_equal(model.bias.detach().numpy(), before)


def test_a_second_pass_through_a_product_with_a_number_is_refused() -> None:
    x = torch.ones(2, requires_grad=True)
    y = (x * 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    z = (x + 2).sum()
    z.backward()
    z.backward()


@pytest.mark.parametrize("function", [lambda y: y**3, lambda y: y.exp(), lambda y: y * y * y])
def test_a_recorded_backward_pass_notices_that_what_it_kept_was_changed_later(function: Any) -> None:
    y = torch.ones(2, requires_grad=True) * 2
    z = function(y)
    (g,) = torch.autograd.grad(z.sum(), y, create_graph=True)
    with torch.no_grad():
        y.mul_(2)
        z.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        g.sum().backward()


def test_a_product_keeps_only_what_its_gradients_need() -> None:
    weight = torch.ones(2, 3, requires_grad=True)
    x = torch.ones(2, 3) * weight
    product = x @ torch.eye(3)
    x += product  # the constant alone is needed for the gradient of x
    x.sum().backward()
    assert weight.grad is not None and weight.grad.tolist() == [[2.0] * 3] * 2


def test_a_frozen_layer_keeps_no_input_and_a_constant_input_no_weight() -> None:
    layer = nn.Linear(3, 3).requires_grad_(False)
    weight = torch.ones(2, 3, requires_grad=True)
    x = torch.ones(2, 3) * weight
    x += layer(x)
    x.sum().backward()
    assert weight.grad is not None
    layer.requires_grad_()
    out = layer(torch.ones(2, 3))
    with torch.no_grad():
        layer.weight.add_(1)
    out.sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.tolist() == [[2.0] * 3] * 3
    out = layer(torch.ones(2, 3, requires_grad=True))
    with torch.no_grad():
        layer.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_bias_alone_is_differentiated_twice() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    (gradient,) = torch.autograd.grad((layer(torch.ones(4, 3)) ** 2).sum(), layer.bias, create_graph=True)
    gradient.sum().backward()
    assert layer.bias.grad is not None and layer.bias.grad.tolist() == [8.0, 8.0]
