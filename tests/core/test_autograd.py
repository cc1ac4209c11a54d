"""What a backward pass promises: what it adds where, what it keeps, what it refuses, and in which order it runs."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt.core.autograd import engine

# -- accumulation


def test_gradients_add_up_over_passes() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]


def test_a_tensor_used_many_times_gets_the_sum() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    (x * x * x + x).backward()
    assert x.grad.item() == 13.0


def test_adding_keeps_the_gradient_tensor_itself() -> None:
    x = torch.ones(2, requires_grad=True)
    x.sum().backward()
    held, version = x.grad, x.grad._version
    x.sum().backward()
    assert x.grad is held
    assert held.tolist() == [2.0, 2.0]
    assert held._version > version


def test_an_output_that_is_not_used_gets_no_gradient() -> None:
    x = torch.tensor([[3.0, 1.0], [0.0, 2.0]], requires_grad=True)
    values, _ = x.max(1)
    values.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_a_frozen_input_gets_no_gradient() -> None:
    x, w = torch.ones(3, requires_grad=True), torch.ones(3)
    (x * w).sum().backward()
    assert w.grad is None


def test_gradients_have_the_dtype_of_their_leaf() -> None:
    x = torch.ones(2, dtype=torch.float32, requires_grad=True)
    y = torch.ones(2, dtype=torch.float64, requires_grad=True)
    (x * y).sum().backward()
    assert x.grad.dtype is torch.float32
    assert y.grad.dtype is torch.float64


def test_the_root_may_be_a_leaf() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    x.backward()
    x.backward()
    assert x.grad.item() == 2.0


def test_backward_into_chosen_inputs_leaves_the_others_alone() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [1.0, 1.0]
    assert y.grad is None


# -- freed and kept graphs


def test_a_second_pass_over_a_freed_graph_is_refused() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    z = x.exp().sum()
    z.backward()
    with pytest.raises(RuntimeError, match=r"second time.*retain_graph=True"):
        z.backward()


MASKS = {
    "where": lambda x: torch.where(x > 1, x, 0.0),
    "dropout": lambda x: torch.nn.functional.dropout(x, 0.5),
    "max_pool2d": lambda x: torch.nn.functional.max_pool2d(x.reshape(1, 1, 2), (1, 2)),
    "max": lambda x: x.max(0)[0],
}


@pytest.mark.parametrize("name", MASKS)
def test_a_graph_that_kept_only_a_mask_is_freed_too(name: str) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    z = MASKS[name](x).sum()
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()


@pytest.mark.parametrize("make", [lambda x: x + 3, lambda x: x - x, lambda x: -x, lambda x: x.reshape(2, 1)])
def test_a_graph_that_kept_nothing_runs_any_number_of_times(make: Any) -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    z = make(x).sum()
    z.backward()
    first = x.grad.tolist()
    z.backward()
    assert x.grad.tolist() == [2 * each for each in first]


def test_retain_graph_allows_another_pass() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    z = x * x
    z.backward(retain_graph=True)
    z.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()


def test_two_roots_may_share_a_kept_part() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    shared = x.exp()
    a, b = shared * 2, shared * 3
    a.backward(retain_graph=True)
    b.backward()
    assert x.grad.item() == pytest.approx(5 * np.exp(3.0))


# -- what is refused


def test_backward_from_several_elements_needs_a_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(torch.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]


def test_backward_without_a_graph_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not require grad and does not have a grad_fn"):
        torch.ones(()).backward()


def test_a_gradient_of_another_shape_is_refused() -> None:
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (torch.ones(2, requires_grad=True) * 2).backward(torch.ones(3))


def test_integers_cannot_require_grad() -> None:
    with pytest.raises(RuntimeError, match="Only Tensors of floating point"):
        torch.tensor([1, 2], requires_grad=True)


def test_a_leaf_that_requires_grad_cannot_be_changed_in_place() -> None:
    x = torch.ones(2, requires_grad=True)
    for change in (
        lambda: x.add_(1),
        x.zero_,
        lambda: x.copy_(torch.ones(2)),
        lambda: x.__setitem__(0, 1),
    ):
        with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
            change()
    with torch.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("make", "changed"),
    [
        (lambda x, y: y * x, "y"),  # an input that a rule needs
        (lambda x, y: y.exp(), "out"),  # the output itself
        (lambda x, y: torch.maximum(y, x), "y"),
    ],
)
def test_changing_a_kept_value_in_place_is_noticed(make: Any, changed: str) -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 1
    out = make(x, y)
    {"y": y, "out": out}[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_changing_a_kept_value_through_a_view_or_detach_is_noticed() -> None:
    for alias in (lambda y: y.detach(), lambda y: y.detach()[0:1]):
        x = torch.ones(2, requires_grad=True)
        y = x * 1
        out = y * y
        alias(y).add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            out.sum().backward()


def test_changing_a_value_that_nobody_kept_is_fine() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    z = y + 1
    y.add_(1)
    z.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_an_in_place_change_becomes_part_of_the_graph() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    y.mul_(x)
    y[0] = 5.0
    y.sum().backward()
    assert x.grad.tolist() == [0.0, 8.0]


# -- higher orders


def test_third_derivative_of_a_cube() -> None:
    x = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    y = x**3
    for expected in (12.0, 12.0, 6.0):
        (y,) = torch.autograd.grad(y, x, create_graph=True)
        assert y.item() == expected


def test_gradients_under_create_graph_can_be_differentiated_through_grad() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (x * x).backward(create_graph=True)
    first = x.grad
    x.grad = None
    (first * first).backward()
    assert x.grad.item() == 24.0


def test_without_create_graph_gradients_have_no_graph() -> None:
    x = torch.tensor(3.0, requires_grad=True)
    (found,) = torch.autograd.grad(x * x, x)
    assert not found.requires_grad
    assert found.is_leaf


# -- gradients as values


def test_captured_gradients_do_not_touch_the_leaves() -> None:
    x = torch.tensor(2.0, requires_grad=True)
    y = x * x
    z = y * 3
    found_y, found_x = torch.autograd.grad(z, [y, x])
    assert (found_y.item(), found_x.item()) == (3.0, 12.0)
    assert x.grad is None


def test_an_unused_input_is_refused_or_none_or_zeros() -> None:
    x, y = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="appears to not have been used"):
        torch.autograd.grad(x.sum(), [x, y])
    assert torch.autograd.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    assert torch.autograd.grad(x.sum(), [x, y], materialize_grads=True)[1].tolist() == [0.0, 0.0, 0.0]


def test_capturing_does_not_run_what_does_not_lead_there() -> None:
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    ran: list[str] = []
    other = w.exp()
    other.register_hook(lambda g: ran.append("other"))
    behind = other * 1
    torch.autograd.grad((x * behind).sum(), x)
    behind.register_hook(lambda g: ran.append("behind"))
    torch.autograd.grad((x * behind).sum(), x)
    assert not ran
    behind.sum().backward()  # what other.exp() kept was not freed by the pass above
    assert ran == ["behind", "other"]


# -- order


def test_nodes_run_newest_first() -> None:
    order: list[str] = []

    def marked(tensor: Any, name: str) -> Any:
        tensor.register_hook(lambda g: order.append(name))
        return tensor

    x = torch.ones(2, requires_grad=True)
    a = marked(x * 2, "a")
    b = marked(x * 3, "b")
    c = marked(a * 4, "c")
    d = marked(b + c, "d")
    marked(d * a, "e").sum().backward()
    assert order == ["e", "d", "c", "b", "a"]


def test_a_leaf_is_finished_as_soon_as_its_last_consumer_ran() -> None:
    """Before any older node runs: that is when data parallelism can start to send it."""
    order: list[str] = []
    x = torch.ones(2, requires_grad=True)
    weights = [torch.ones(2, requires_grad=True) for _ in range(3)]
    shared = torch.ones(2, requires_grad=True)
    y = x * shared
    for number, weight in enumerate(weights):
        weight.register_post_accumulate_grad_hook(lambda w, n=number: order.append(f"weight {n}"))
        y = y * weight
        y.register_hook(lambda g, n=number: order.append(f"layer {n}"))
    shared.register_post_accumulate_grad_hook(lambda w: order.append("shared"))
    (y * shared).sum().backward()
    assert order == ["layer 2", "weight 2", "layer 1", "weight 1", "layer 0", "weight 0", "shared"]


def test_a_callback_runs_once_when_the_pass_is_over() -> None:
    order: list[str] = []
    x, w = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    y = x * w
    y.register_hook(lambda g: engine.queue_callback(lambda: order.append("over")))
    x.register_post_accumulate_grad_hook(lambda t: order.append("x"))
    w.register_post_accumulate_grad_hook(lambda t: order.append("w"))
    y.sum().backward()
    assert order[-1] == "over"
    assert sorted(order[:-1]) == ["w", "x"]
    with pytest.raises(RuntimeError, match="no backward pass is running"):
        engine.queue_callback(lambda: None)


def test_a_hook_may_run_a_backward_pass_of_its_own() -> None:
    x, inner = torch.tensor(2.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
    y = x * x

    @torch.enable_grad()
    def nested(gradient: Any) -> None:
        (inner * inner).backward()

    y.register_hook(nested)
    (y * 1).backward()
    assert (x.grad.item(), inner.grad.item()) == (4.0, 6.0)


def test_an_error_in_a_hook_leaves_the_engine_usable() -> None:
    x = torch.tensor(2.0, requires_grad=True)

    def fail(gradient: Any) -> None:
        raise KeyError("mine")

    handle = x.register_hook(fail)
    with pytest.raises(KeyError, match="mine"):
        (x * x).backward()
    handle.remove()
    (x * x).backward()
    assert x.grad.item() == 4.0
    assert torch.is_grad_enabled()


# -- leaving the graph, and what is a leaf


def test_detach_shares_memory_and_leaves_the_graph() -> None:
    x = torch.ones(2, requires_grad=True)
    y = x * 2
    outside = y.detach()
    assert outside.data_ptr() == y.data_ptr()
    assert not outside.requires_grad
    assert y.requires_grad


def test_only_leaves_can_be_copied_deeply_and_pickles_are_leaves() -> None:
    x = torch.ones(2, requires_grad=True)
    for pickled in (x, x * 2):
        again = pickle.loads(pickle.dumps(pickled))
        assert again.requires_grad and again.is_leaf
        assert again.tolist() == pickled.tolist()
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2)


def test_what_a_node_is_called() -> None:
    x = torch.ones(2, requires_grad=True)
    assert x.grad_fn is None
    assert (x * 2).grad_fn.name() == type((x * 2).grad_fn).__name__ == "MulBackward0"
    assert repr((x + 1).sum()) == "tensor(4., grad_fn=<SumBackward0>)"
    assert (x * 2).grad_fn.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"


# -- names of older scripts


def test_variables_are_tensors() -> None:
    x = torch.autograd.Variable(torch.ones(2), requires_grad=True)
    assert isinstance(x, torch.autograd.Variable)
    assert not isinstance(3, torch.autograd.Variable)
    with torch.autograd.set_multithreading_enabled(False):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_what_can_be_assigned_as_a_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    for value, error, message in (
        (3, TypeError, "got grad of type int"),
        (torch.ones(3), RuntimeError, r"a gradient of size '\[3\]' to a tensor of size '\[2\]'"),
        (torch.ones(2, dtype=torch.float64), RuntimeError, "attempting to assign a gradient with dtype"),
        (x, RuntimeError, "can't assign Variable as its own grad"),
    ):
        with pytest.raises(error, match=message):
            x.grad = value
    x.grad = torch.zeros(2)
    x.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]
