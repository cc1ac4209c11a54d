"""Area G: autograd; and what the documents claim of it."""

from __future__ import annotations

import gc
import weakref

import pytest

import distrt as torch
from tests.inventory.rows import covers


@covers("G1", "G3", "G4", "G5")
def test_gradients_of_small_formulas() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    y = x**2
    (y * 3).backward()
    assert repr(x.grad) == "tensor([12.])"
    x = torch.tensor(2.0, requires_grad=True)
    (x**2 + 3 * x + 1).backward()
    assert x.grad == 7
    x, y = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([3.0, 4.0])
    (x * 2 + y).sum().backward()
    assert repr(x.grad) == "tensor([2., 2.])"


@covers("G2", "G6")
def test_gradient_of_a_product_and_of_a_vector() -> None:
    x, y = (torch.tensor(v, requires_grad=True) for v in ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]))
    (x * y).sum().backward()
    assert x.grad.tolist() == [4, 5, 6] and y.grad.tolist() == [1, 2, 3]
    with pytest.raises(RuntimeError, match="scalar outputs"):
        (x * y).backward()
    (x * y).backward(torch.ones(3))
    assert x.grad.tolist() == [8, 10, 12]


@covers("G7", "G8")
def test_gradients_add_up_until_they_are_zeroed() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    assert x.grad is None
    seen = []
    for zeroed in (False, True):
        for _ in range(3):
            if zeroed and x.grad is not None:
                x.grad.zero_()
            (x * 2).backward()
            seen.append(x.grad.item())
    assert seen == [2, 4, 6, 2, 2, 2]


@covers("G9", "G10")
def test_nodes_have_names_and_leaves_have_none() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y, z = x + 2, (x**2) * 3
    assert "AddBackward0 object" in repr(y.grad_fn) and z.grad_fn.name() == "MulBackward0"
    assert z.grad_fn.next_functions[0][0].name() == "PowBackward0"
    assert x.grad_fn is None and x.is_leaf and not y.is_leaf


@covers("G11")
def test_retain_grad_keeps_an_intermediate_gradient() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    y, dropped = x + 2, x * 5
    y.retain_grad()
    (y**2 + dropped).backward()
    assert y.grad.tolist() == [6]
    with pytest.warns(UserWarning, match="not a leaf"):
        assert dropped.grad is None


@covers("G12", "G13")
def test_a_graph_is_freed_unless_it_is_retained() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    z = x**2 + 3
    z.backward()
    with pytest.raises(RuntimeError, match="second time"):
        z.backward()
    kept = x + 3
    kept.backward()
    kept.backward()  # nothing was saved, so nothing was freed
    x.grad = None
    y = x**2
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8]


@covers("G14", "G15")
def test_graphs_follow_pythons_control_flow() -> None:
    def dynamic(x: torch.Tensor, extra: bool) -> torch.Tensor:
        x = x * 2
        if extra:
            x = x + 10
        for _ in range(3):
            x = x * 1.1
        return x

    x = torch.tensor([1.0], requires_grad=True)
    assert dynamic(x, True).item() == pytest.approx(12 * 1.1**3)
    assert dynamic(x, False).item() == pytest.approx(2 * 1.1**3)
    for depth in (1, 5):
        y = x
        for _ in range(depth):
            y = y * 2
        (slope,) = torch.autograd.grad(y, x)
        assert slope == 2**depth


@covers("G16", "G17")
def test_in_place_changes_that_are_refused() -> None:
    x = torch.tensor([2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        x.add_(1)
    y = x * 1
    z = y**2
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


@covers("G18", "G19", "G20", "G21")
def test_modes() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(KeyError), torch.no_grad():
        assert not (x * 2).requires_grad
        raise KeyError
    assert (x * 2).requires_grad

    class Model:
        @torch.no_grad()
        def method(self, y: torch.Tensor) -> torch.Tensor:
            return x * y

    @torch.no_grad()
    def hook(y: torch.Tensor) -> torch.Tensor:
        return x * y

    assert not Model().method(torch.ones(2)).requires_grad and not hook(torch.ones(2)).requires_grad
    with torch.inference_mode():
        inside = x * 2
    assert inside.is_inference() and not inside.requires_grad
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved for backward"):
        x * inside
    with pytest.raises(RuntimeError, match="outside InferenceMode"):
        inside.add_(1)
    torch.set_grad_enabled(False)
    assert not (x * 2).requires_grad
    torch.set_grad_enabled(True)
    with torch.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


@covers("G22")
def test_frozen_parameters() -> None:
    layer = torch.nn.Linear(2, 2)
    for param in layer.parameters():
        param.requires_grad = False
    assert not layer(torch.ones(1, 2)).requires_grad


@covers("G23", "G24")
def test_higher_orders() -> None:
    x = torch.tensor(1.0, requires_grad=True)
    (first,) = torch.autograd.grad(x**3, x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    assert (first, second) == (3, 6) and x.grad is None
    v = torch.tensor([1.0, 2.0, 3.0])
    assert torch.autograd.functional.jacobian(lambda y: y**2, v).tolist() == [[2, 0, 0], [0, 4, 0], [0, 0, 6]]


@covers("G25")
def test_own_functions() -> None:
    class Clamped(torch.autograd.Function):
        @staticmethod
        def forward(ctx, input, floor):  # type: ignore[no-untyped-def]
            assert not (input * 2).requires_grad
            ctx.save_for_backward(input)
            ctx.floor = floor
            return input.clamp(min=floor)

        @staticmethod
        def backward(ctx, grad_output):  # type: ignore[no-untyped-def]
            (input,) = ctx.saved_tensors
            grad_input = grad_output.clone()
            grad_input[input < ctx.floor] = 0
            return grad_input, None

    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    y = Clamped.apply(x, 0.0)
    assert y.grad_fn.name() == "ClampedBackward"
    y.sum().backward()
    assert y.tolist() == [0, 2] and x.grad.tolist() == [0, 1]


@covers("G26")
def test_hooks_scale_gradients() -> None:
    x = torch.ones(2, requires_grad=True)
    handle = x.register_hook(lambda grad: grad * 0.1)
    y = x * 3
    y.register_hook(lambda grad: grad * 2)
    y.sum().backward()
    assert x.grad.tolist() == pytest.approx([0.6, 0.6])
    handle.remove()
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]


@covers("G27")
def test_anomaly_mode_names_the_operation() -> None:
    torch.autograd.set_detect_anomaly(True)
    try:
        x = torch.tensor([-1.0], requires_grad=True)
        y = torch.sqrt(x)
        with pytest.raises(RuntimeError, match="SqrtBackward0"), pytest.warns(UserWarning, match="sqrt"):
            y.backward()
    finally:
        torch.autograd.set_detect_anomaly(False)


@covers("G28", "G29")
def test_gradients_can_be_assigned_and_looked_at() -> None:
    p = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(RuntimeError, match="size"):
        p.grad = torch.ones(3)
    p.grad = torch.tensor([3.0, 4.0])
    assert p.grad.norm().item() == 5 and not torch.isnan(p.grad).any()


@covers("G30", "G31")
def test_deep_graphs_are_walked_and_freed() -> None:
    x = torch.ones(1, requires_grad=True)
    y = x
    gc.disable()
    try:
        for _ in range(20_000):
            y = y + 1
        node = weakref.ref(y.grad_fn.next_functions[0][0])
        y.backward()
        assert x.grad == 1
        del y
        assert node() is None
    finally:
        gc.enable()


@covers("07")
def test_a_loss_adds_up_as_a_python_number() -> None:
    total = 0.0
    for value in (1.0, 2.0):
        total += (torch.tensor(value, requires_grad=True) * 2).item()
    assert total == 6.0 and f"{100.0 * torch.tensor(3).item() / 4:.2f}%" == "75.00%"


@covers("X4")
def test_checkpoint_trains_the_layer_and_replays_dropout() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5))
    calls = []
    layer[0].register_forward_hook(lambda *_: calls.append(1))
    x = torch.ones(4, 8)
    gradients = []
    for through in (lambda: torch.utils.checkpoint.checkpoint(layer, x), lambda: layer(x)):
        torch.manual_seed(3)
        layer.zero_grad()
        through().sum().backward()
        gradients.append(layer[0].weight.grad.tolist())
    assert gradients[0] == gradients[1] and len(calls) == 3
