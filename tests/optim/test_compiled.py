"""A compiled step of an optimizer gives the bits of NumPy's, for every optimizer, option, dtype and layout."""

import numpy as np
import pytest

import distrt as torch
from distrt.core.kernels import loops
from distrt.optim import elementwise, passes
from distrt.optim.rules import RULES
from tests.oracle.optimizer_table import TABLE

pytest.importorskip("llvmlite", reason="compiled steps need the extra 'fast'")

CASES = [(name, options) for name in sorted(RULES) for options in TABLE[name]]
SHAPES = [(), (1,), (15,), (16,), (2, 0), (17, 3), (40, 50)]


@pytest.fixture
def compiled_calls(monkeypatch):
    """How many loops have been asked for; whether to compile them is up to the test."""
    calls = []

    def compiled(loop):
        calls.append(loop)
        return loops.compiled(loop)

    monkeypatch.setattr(passes, "compiled", compiled)
    return calls


def train(name, options, dtype, seed, shapes=SHAPES, layout=lambda array: array, steps=6):
    random = np.random.default_rng(seed)
    params = [torch.tensor(0)] * len(shapes)
    for index, shape in enumerate(shapes):
        values = layout(np.asarray(random.standard_normal(shape), np.float64))
        params[index] = torch.from_numpy(values).to(dtype).requires_grad_()
    optimizer = getattr(torch.optim, name)(params, **options)
    for step in range(steps):
        for param in params:
            values = layout(np.asarray(random.standard_normal(tuple(param.shape)), np.float64))
            param.grad = torch.from_numpy(values).to(dtype)
            if step == 3 and param.numel() > 20:
                param.grad[0, 1] = float("nan")
        optimizer.step()
    states = [value for state in optimizer.state.values() for value in state.values()]
    return [bits(each) for each in (*params, *states) if isinstance(each, torch.Tensor)]


def bits(tensor):
    array = np.ascontiguousarray(tensor.detach()._array)
    array = array.view(array.real.dtype)
    as_words = np.where(np.isnan(array.astype(np.float64)), 0, array.view(f"u{array.itemsize}"))
    return as_words.tolist(), np.isnan(array.astype(np.float64)).tolist()


def both_ways(monkeypatch, *args, **kwargs):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", float("inf"))
    by_numpy = train(*args, **kwargs)
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    return train(*args, **kwargs), by_numpy


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64], ids=str
)
@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda each: each if isinstance(each, str) else "")
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_the_bits_are_numpys(name, options, dtype, monkeypatch, compiled_calls, seed):
    compiled, by_numpy = both_ways(monkeypatch, name, options, dtype, seed)
    assert compiled_calls, "nothing was compiled"
    assert compiled == by_numpy


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda array: np.repeat(array, 2, -1)[..., ::2],
        lambda array: np.moveaxis(np.moveaxis(array, 0, -1).copy(), -1, 0),
    ],
    ids=["columns", "with gaps", "first dim last"],
)
def test_the_bits_are_numpys_in_every_layout(layout, monkeypatch, seed):
    compiled, by_numpy = both_ways(
        monkeypatch, "AdamW", {"lr": 0.1}, torch.float32, seed, [(3, 40), (7, 5, 2)], layout
    )
    assert compiled == by_numpy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.complex64], ids=str)
@pytest.mark.parametrize("name", sorted(RULES))
def test_new_values_can_go_elsewhere(name, dtype, monkeypatch, seed):
    shapes = [(1,), (16,), (17, 3)]
    in_place = both_ways(monkeypatch, name, TABLE[name][0], dtype, seed, shapes)
    apply = passes.apply

    def applied(rule, params, states, group):
        targets = [np.full_like(param._array, 7) for param in params]
        before = [param._array.tobytes() for param in params]
        apply(rule, params, states, group, targets)
        assert before == [param._array.tobytes() for param in params]
        for param, target in zip(params, targets, strict=True):
            param._array = target

    monkeypatch.setattr(elementwise, "apply", applied)
    assert both_ways(monkeypatch, name, TABLE[name][0], dtype, seed, shapes) == in_place


def test_parameters_that_are_changed_alike_are_updated_in_one_call(monkeypatch, compiled_calls, seed):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    train("Adam", {}, torch.float32, seed, [(3,)] * 9, steps=5)
    assert len(compiled_calls) == 5


def test_a_short_program_compiles_nothing(monkeypatch, compiled_calls, seed):
    monkeypatch.setattr(loops._Effort, "elements", 0)
    train("SGD", {"lr": 0.1}, torch.float32, seed)
    assert not compiled_calls


def test_numpy_goes_on_where_loops_cannot_be_compiled(monkeypatch, seed):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    expected = train("SGD", {"lr": 0.1, "momentum": 0.9}, torch.float32, seed)
    monkeypatch.setattr(passes, "compiled", lambda loop: None)
    assert train("SGD", {"lr": 0.1, "momentum": 0.9}, torch.float32, seed) == expected


def test_a_gradient_that_is_read_only_is_read(monkeypatch):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    param = torch.ones(20, requires_grad=True)
    gradient = np.full(20, 0.5, np.float32)
    gradient.flags.writeable = False
    param.grad = torch.zeros(20)
    param.grad._array = gradient
    torch.optim.SGD([param], lr=1.0).step()
    assert param.tolist() == [0.5] * 20


def test_no_parameter_is_changed_where_one_cannot_be(monkeypatch):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    first, second = torch.ones(20, requires_grad=True), torch.ones(20, requires_grad=True)
    optimizer = torch.optim.Adam([first, second])
    for param in (first, second):
        param.grad = torch.ones(20)
    optimizer.step()
    before = first.tolist()
    optimizer.state[second]["exp_avg"] = torch.zeros(3)
    with pytest.raises(RuntimeError, match=r"size \[3\], its parameter \[20\]"):
        optimizer.step()
    assert first.tolist() == before and float(optimizer.state[first]["step"]) == 1.0


@pytest.mark.parametrize("compile_after", [0, float("inf")])
@pytest.mark.parametrize(("size", "gradient_size"), [(40, 20), (20, 40), (40, 1)])
def test_a_gradient_of_another_size_is_refused(size, gradient_size, compile_after, monkeypatch):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", compile_after)
    param = torch.ones(gradient_size, requires_grad=True)
    param.grad = torch.ones(gradient_size)
    param.data = torch.ones(size)
    with pytest.raises(
        RuntimeError, match=rf"gradient has size \[{gradient_size}\], its parameter \[{size}\]"
    ):
        torch.optim.SGD([param], lr=1.0).step()
    assert param.tolist() == [1.0] * size
