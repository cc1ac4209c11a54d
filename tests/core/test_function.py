"""``autograd.Function``: what its forward and backward pass are given, what they may return, and what is refused."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import distrt as torch
from distrt.autograd import Function
from distrt.autograd.function import once_differentiable


class Cube(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * 3 * x**2


class Exp(Function):
    """Saves its output."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        out = x.exp()
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        return g * ctx.saved_tensors[0]


class Scale(Function):
    """In the form with ``setup_context``."""

    @staticmethod
    def forward(x: Any, factor: float = 2.0) -> Any:
        assert not torch.is_grad_enabled()
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.factor = inputs[1]
        assert output.tolist() == (inputs[0] * inputs[1]).tolist()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        assert ctx.needs_input_grad == (True, False)
        return g * ctx.factor, None


def returning(gradients: Any, forward: Any = None) -> Any:
    """A Function of a tensor and a number whose backward pass returns what is given."""

    class Given(Function):
        @staticmethod
        def forward(ctx: Any, x: Any, n: Any = 1) -> Any:
            return x * 2 if forward is None else forward(ctx, x)

        @staticmethod
        def backward(ctx: Any, *g: Any) -> Any:
            return gradients(*g)

    return Given


def test_backward_gets_saved_tensors_and_attributes() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    Cube.apply(x).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]
    x.grad = None
    Scale.apply(x, 5.0).sum().backward()
    Scale.apply(x).sum().backward()
    Scale.apply(x, factor=3.0).sum().backward()
    assert x.grad.tolist() == [10.0, 10.0]


def test_the_node_has_the_functions_name() -> None:
    node = Cube.apply(torch.ones(1, requires_grad=True)).grad_fn
    assert node.name() == type(node).__name__ == "CubeBackward"
    assert repr(node).startswith("<torch.autograd.function.CubeBackward object at 0x")
    assert str(Cube.apply(torch.ones(1, requires_grad=True))) == "tensor([1.], grad_fn=<CubeBackward>)"
    assert node.next_functions[0][0].name() == "torch::autograd::AccumulateGrad"


@pytest.mark.parametrize("function", [Cube.apply, Exp.apply])
def test_derivatives_of_every_order(function: Any) -> None:
    x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, (x,))
    assert torch.autograd.gradgradcheck(function, (x,))
    y = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    value = Cube.apply(y)
    for expected in (12.0, 12.0, 6.0):
        (value,) = torch.autograd.grad(value, y, create_graph=True)
        assert value.item() == expected


def test_forward_and_backward_record_nothing_unless_asked() -> None:
    seen: list[bool] = []

    def forward(ctx: Any, x: Any) -> Any:
        seen.append((x * 2).requires_grad)
        return x * 2

    def backward(g: Any) -> Any:
        seen.append(torch.is_grad_enabled())
        return g * 2, None

    given = returning(backward, forward)
    x = torch.ones(1, requires_grad=True)
    given.apply(x).backward()
    torch.autograd.grad(given.apply(x), x, create_graph=True)
    assert seen == [False, False, False, True]
    with torch.no_grad():
        assert given.apply(x).grad_fn is None
    assert given.apply(torch.ones(1)).requires_grad is False


def test_several_outputs_and_what_is_no_tensor() -> None:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        return x * 2, "text", (x > 0), None, x * 3

    def backward(*g: Any) -> Any:
        seen.extend(g)
        return g[0] * 2 + g[4] * 3, None

    x = torch.ones(2, requires_grad=True)
    out = returning(backward, forward).apply(x)
    assert isinstance(out, tuple)
    assert out[1] == "text"
    assert not out[2].requires_grad
    out[4].sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert seen[0].tolist() == [0.0, 0.0]
    assert (seen[1], seen[3]) == (None, None)


def test_missing_gradients_may_stay_none() -> None:
    seen: list[Any] = []

    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(False)
        a, b = x * 2, x * 3
        ctx.mark_non_differentiable(b)
        return a, b

    x = torch.ones(2, requires_grad=True)
    out = returning(lambda *g: (*(seen.extend(g), g[0])[1:], None), forward).apply(x)
    assert [each.requires_grad for each in out] == [True, False]
    out[0].sum().backward()
    assert seen[1] is None


WRONG = {
    "expected 2, got 1": lambda g: g,
    "expected 2, got 3": lambda g: (g, None, g),
    "different than None at position 2": lambda g: (g, g),
    r"got \[3\] but expected shape compatible with \[2\]": lambda g: (torch.ones(3), None),
    r"expected Variable or None \(got float\)": lambda g: (3.0, None),
}


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize("create_graph", [False, True])
def test_wrong_gradients_are_refused(message: str, create_graph: bool) -> None:
    x = torch.ones(2, requires_grad=True)
    out = returning(WRONG[message]).apply(x, 1)
    with pytest.raises(RuntimeError, match=message):
        torch.autograd.grad(out.sum(), x, create_graph=create_graph)


def test_gradients_are_summed_and_converted_as_everywhere() -> None:
    x = torch.ones(2, requires_grad=True)
    returning(lambda g: (torch.ones(3, 2, dtype=torch.float64), None, None)).apply(x, 1).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.dtype is torch.float32


def test_saved_tensors_are_freed_and_watched() -> None:
    x = torch.ones(2, requires_grad=True)
    out = Cube.apply(x)
    out.sum().backward(retain_graph=True)
    out.sum().backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        out.sum().backward()
    with pytest.raises(
        RuntimeError, match="directly access saved tensors after they have already been freed"
    ):
        out.grad_fn.saved_tensors
    y = x * 1
    out = Cube.apply(y)
    assert out.grad_fn.saved_tensors[0].grad_fn is y.grad_fn
    y.add_(1)
    with pytest.raises(
        RuntimeError,
        match=r"\[torch.FloatTensor \[2\]\], which is output 0 of Add, is at version 1; expected version 0",
    ):
        out.sum().backward()
    out = Exp.apply(x)
    out.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_only_tensors_can_be_saved() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x, None, 3)
        return x * 2

    with pytest.raises(TypeError, match="argument 2 is of type int"):
        returning(lambda g: g, forward).apply(torch.ones(1, requires_grad=True))


def test_what_is_missing_is_said() -> None:
    class Empty(Function):
        pass

    class Forward(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

    x = torch.ones(1, requires_grad=True)
    with pytest.raises(NotImplementedError, match="must implement the forward"):
        Empty.apply(x)
    out = Forward.apply(x)
    with pytest.raises(NotImplementedError, match="either the backward or vjp method"):
        out.backward()
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        Forward()(x)


def test_an_input_that_is_returned_becomes_an_alias() -> None:
    given = returning(lambda g: (g * 5, None), lambda ctx, x: x)
    x = torch.ones(2, requires_grad=True)
    out = given.apply(x)
    assert out is not x
    assert out.data_ptr() == x.data_ptr()
    out.sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    out = given.apply(x * 1)
    with pytest.raises(RuntimeError, match="created inside a custom Function"):
        out.add_(1)
    with torch.no_grad():
        assert not given.apply(x).requires_grad
    assert x.requires_grad


def _doubled(ctx: Any, x: Any) -> Any:
    ctx.mark_dirty(x)
    return x.mul_(2)


def test_an_input_may_be_changed_in_place() -> None:
    given = returning(lambda g: (g * 2, None), _doubled)
    x = torch.ones(2, requires_grad=True)
    y = x * 3
    part = y[:1]
    out = given.apply(y)
    assert out is y
    assert y.grad_fn.name() == "GivenBackward"
    assert y._version == 2
    (y.sum() + part.sum()).backward()
    assert x.grad.tolist() == [12.0, 6.0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        given.apply(x)


def test_a_changed_input_must_be_returned() -> None:
    def forward(ctx: Any, x: Any) -> Any:
        ctx.mark_dirty(x)
        return x.mul_(2) * 1

    with pytest.raises(RuntimeError, match="marked as dirty during the forward method were not returned"):
        returning(lambda g: g, forward).apply(torch.ones(2, requires_grad=True) * 1)


def test_once_differentiable_refuses_the_second_time() -> None:
    class Once(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, g: Any) -> Any:
            assert not torch.is_grad_enabled()
            return g * 2 * ctx.saved_tensors[0]

    x = torch.ones(2, requires_grad=True)
    (first,) = torch.autograd.grad((Once.apply(x) ** 2).sum(), x, create_graph=True)
    assert first.tolist() == [4.0, 4.0]
    with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
        first.sum().backward()


def test_a_function_without_incoming_gradient_runs_on_zeros() -> None:
    seen: list[Any] = []
    silent = returning(lambda g: (None, None))
    inner = returning(lambda g: (seen.append(g.tolist()), None))
    x = torch.ones(2, requires_grad=True)
    silent.apply(inner.apply(x)).sum().backward()
    assert seen == [[0.0, 0.0]]
    assert x.grad is None


def test_any_attribute_name_is_free_for_the_user() -> None:
    names = "edges metas saved hooks counters stamp definition sequence positions node dirty keeps_graph ctx"

    def forward(ctx: Any, x: Any) -> Any:
        for name in names.split():
            setattr(ctx, name, "mine")
        ctx.save_for_backward(x)
        return x * 2

    x = torch.ones(2, requires_grad=True)
    out = returning(lambda g: (g * 2, None), forward).apply(x)
    assert out.grad_fn.dirty == "mine"
    out.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("function", [Cube, Exp])
@pytest.mark.parametrize("create_graph", [False, True])
def test_a_graph_with_functions_is_freed_by_reference_counting_alone(
    function: Any, create_graph: bool
) -> None:
    gc.disable()
    try:
        x = torch.ones(4, requires_grad=True)
        y = x * 1
        out = function.apply(function.apply(y))
        arrays = [weakref.ref(y._array), weakref.ref(out._array)]
        node = weakref.ref(out.grad_fn)
        gradients = torch.autograd.grad(out.sum(), x, create_graph=create_graph)
        del out, y, gradients
        assert node() is None
        assert [array() for array in arrays] == [None, None]
    finally:
        gc.enable()


def test_a_gradient_that_is_passed_on_is_nobody_elses_memory() -> None:
    given = returning(lambda g: (g, None))
    x, y = torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)
    (given.apply(x) + given.apply(y)).backward(start := torch.ones(2))
    assert len({x.grad.data_ptr(), y.grad.data_ptr(), start.data_ptr()}) == 3


def test_saved_tensors_go_through_hooks() -> None:
    packed: list[Any] = []

    def pack(tensor: Any) -> Any:
        packed.append(tensor.tolist())
        return tensor * 2

    x = torch.tensor([3.0], requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept / 2):
        out = Cube.apply(x)
    out.backward()
    assert packed == [[3.0]]
    assert x.grad.tolist() == [27.0]
