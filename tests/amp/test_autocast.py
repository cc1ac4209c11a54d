"""``autocast`` beside PyTorch's: what is on where, warnings and errors, nesting, the cache of casts, gradients."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from tests.amp.closeness import assert_close

Scene = Callable[[Any], Any]


def _outcome(scene: Scene, library: Any) -> Any:
    """What a scene gives or raises, and what it warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = repr(scene(library)).replace("distrt", "torch")
        except Exception as error:
            bases = (ValueError, TypeError, RuntimeError, AttributeError)
            found = next(kind.__name__ for kind in bases if isinstance(error, kind)) + str(error)
        finally:
            _switch_off(library)
    # PyTorch's compiled part adds where in its own source a warning comes from.
    return found, [(each.category, str(each.message).partition(" (Triggered")[0]) for each in caught]


def _switch_off(library: Any) -> None:
    library.set_autocast_enabled("cpu", False)
    library.set_autocast_enabled("cuda", False)
    library.set_autocast_dtype("cpu", library.bfloat16)
    library.set_autocast_dtype("cuda", library.float16)
    library.set_autocast_cache_enabled(True)


def _entered(library: Any, *args: Any, **kwargs: Any) -> Any:
    """What holds inside of a block and after it."""

    def state() -> Any:
        return (
            library.is_autocast_enabled("cpu"),
            library.is_autocast_enabled("cuda"),
            library.is_autocast_enabled(),
            library.get_autocast_dtype("cpu"),
            library.get_autocast_dtype("cuda"),
            library.is_autocast_cache_enabled(),
        )

    with library.autocast(*args, **kwargs) as entered:
        inside = state()
    return type(entered).__name__, inside, state()


def _nested(t: Any) -> Any:
    x, found = t.ones(2, 2), []
    with t.autocast("cpu"):
        found.append((x @ x).dtype)
        with t.autocast("cpu", enabled=False):
            found.append((x @ x).dtype)
            with t.autocast("cpu", dtype=t.float16):
                found.append((x @ x).dtype)
            found.append((x @ x).dtype)
        found.append((x @ x).dtype)
        with t.autocast("cuda"):
            found.append((x @ x).dtype)
    return [*found, (x @ x).dtype]


def _decorated(t: Any) -> Any:
    @t.autocast("cpu", dtype=t.float16)
    def product(x: Any) -> Any:
        """Doc."""
        return x @ x

    return product(t.ones(2, 2)).dtype, product.__name__, product.__doc__, t.is_autocast_enabled("cpu")


def _left_by_an_error(t: Any) -> Any:
    try:
        with t.autocast("cpu"):
            raise KeyError
    except KeyError:
        return t.is_autocast_enabled("cpu"), t.autocast_increment_nesting(), t.autocast_decrement_nesting()


SCENES: dict[str, Scene] = {
    "cpu": lambda t: _entered(t, "cpu"),
    "float16": lambda t: _entered(t, "cpu", t.float16),
    "keywords": lambda t: _entered(t, device_type="cpu", dtype=t.bfloat16, enabled=True, cache_enabled=False),
    "disabled": lambda t: _entered(t, "cpu", enabled=False),
    "cuda": lambda t: _entered(t, "cuda"),
    "cuda, disabled": lambda t: _entered(t, "cuda", enabled=False),
    "cuda, bfloat16": lambda t: _entered(t, "cuda", t.bfloat16),
    "xla": lambda t: _entered(t, "xla"),
    "mps": lambda t: _entered(t, "mps"),
    "an index": lambda t: _entered(t, "cpu:0"),
    "float64": lambda t: _entered(t, "cpu", t.float64),
    "float32": lambda t: _entered(t, "cpu", dtype=t.float32),
    "int64": lambda t: _entered(t, "cpu", dtype=t.int64),
    "meta": lambda t: _entered(t, "meta"),
    "meta with a dtype": lambda t: _entered(t, "meta", t.float16),
    "unknown": lambda t: _entered(t, "foo"),
    "no string": lambda t: _entered(t, 3),
    "a device": lambda t: _entered(t, t.device("cpu")),
    "nothing": _entered,
    "torch.amp": lambda t: t.amp.autocast("cpu")._enabled,
    "torch.amp.autocast_mode": lambda t: t.amp.autocast_mode.autocast is t.autocast,
    "torch.cpu.amp": lambda t: t.cpu.amp.autocast().fast_dtype,
    "torch.cpu.amp with options": lambda t: t.cpu.amp.autocast(False, t.float16, False)._enabled,
    "torch.cuda.amp": lambda t: t.cuda.amp.autocast()._enabled,
    "torch.cuda.amp with options": lambda t: t.cuda.amp.autocast(enabled=False, dtype=t.bfloat16).fast_dtype,
    "torch.cuda.amp.autocast_mode": lambda t: t.cuda.amp.autocast_mode.autocast is t.cuda.amp.autocast,
    "subclass": lambda t: isinstance(t.cpu.amp.autocast(), t.autocast),
    "no amp": lambda t: t.cuda.amp.amp_definitely_not_available(),
    "nested": _nested,
    "decorated": _decorated,
    "left by an error": _left_by_an_error,
    "not a function": lambda t: t.autocast("cpu")(3),
    "a module": lambda t: t.autocast("cpu")(t.nn.Linear(2, 2))(t.ones(1, 2)).dtype,
    "available": lambda t: [t.amp.is_autocast_available(d) for d in ("cpu", "cuda", "xpu", "meta", "cpu:0")],
    "available, unknown": lambda t: t.amp.is_autocast_available("foo"),
    "is enabled of a number": lambda t: t.is_autocast_enabled(3),
    "is enabled of an unknown": lambda t: t.is_autocast_enabled("foo"),
    "enable with a number": lambda t: t.set_autocast_enabled("cpu", 1),
    "dtype of a number": lambda t: t.set_autocast_dtype("cpu", 3),
    "dtype of meta": lambda t: t.get_autocast_dtype("meta"),
    "older": lambda t: (t.set_autocast_enabled(True), t.is_autocast_enabled(), t.is_autocast_enabled("cpu")),
    "older, cpu": lambda t: (
        t.set_autocast_cpu_enabled(True),
        t.is_autocast_cpu_enabled(),
        t.set_autocast_cpu_dtype(t.float16),
        t.get_autocast_cpu_dtype(),
    ),
    "older, gpu": lambda t: (t.set_autocast_gpu_dtype(t.bfloat16), t.get_autocast_gpu_dtype()),
    "older, xla": lambda t: (t.is_autocast_xla_enabled(), t.get_autocast_xla_dtype()),
    "older, ipu": lambda t: (t.is_autocast_ipu_enabled(), t.get_autocast_ipu_dtype()),
    "nesting": lambda t: (
        t.autocast_increment_nesting(),
        t.autocast_increment_nesting(),
        t.autocast_decrement_nesting(),
        t.autocast_decrement_nesting(),
        t.clear_autocast_cache(),
    ),
    "by hand": lambda t: (t.set_autocast_enabled("cpu", True), (t.ones(2, 2) @ t.ones(2, 2)).dtype)[1],
    "out=": lambda t: _inside(t, lambda x: t.mm(x, x, out=t.empty(2, 2)).dtype),
    "in place": lambda t: _inside(t, lambda x: x.addmm_(x, x).dtype),
    "in place, mixed": lambda t: _inside(t, lambda x: x.addmm_(x, (x @ x))),
    "cat": lambda t: _inside(t, lambda x: (t.cat([x, x @ x]).dtype, t.cat([x @ x, x @ x]).dtype)),
    "cat of the other half": lambda t: _inside(t, lambda x: t.cat([x.half(), x.half()])),
    "stack with float64": lambda t: _inside(t, lambda x: t.stack([x.double(), x @ x]).dtype),
    "integers": lambda t: _inside(t, lambda x: (x.long() @ x.long()).dtype),
    "float64 inputs": lambda t: _inside(t, lambda x: (x.double() @ x.double()).dtype),
    "float64 and float32": lambda t: _inside(t, lambda x: x.double() @ x),
    "complex": lambda t: _inside(t, lambda x: (x.cfloat() @ x.cfloat()).dtype),
    "narrow and wide": lambda t: _inside(t, lambda x: ((x @ x) @ x).dtype),
    "sum of both": lambda t: _inside(t, lambda x: ((x @ x) + x).dtype),
    "softmax": lambda t: _inside(t, lambda x: t.softmax(x @ x, 0).dtype),
    "losses": lambda t: _inside(t, lambda x: t.nn.functional.mse_loss(x @ x, x @ x).dtype),
    "class losses": lambda t: _inside(
        t, lambda x: t.nn.functional.cross_entropy(x @ x, t.tensor([0, 1])).dtype
    ),
    "binary_cross_entropy": lambda t: _inside(t, lambda x: t.nn.functional.binary_cross_entropy(x, x).dtype),
}


def _inside(t: Any, run: Scene) -> Any:
    with t.autocast("cpu"):
        return run(t.ones(2, 2))


@pytest.mark.parametrize("name", SCENES)
def test_scene_goes_as_in_pytorch(name: str, torch: Any) -> None:
    ours, theirs = _outcome(SCENES[name], distrt), _outcome(SCENES[name], torch)
    assert ours[1] == theirs[1]
    if "Error" not in theirs[0]:
        assert ours[0] == theirs[0]
        return
    assert "Error" in ours[0], (ours, theirs)
    assert ours[0].partition("Error")[0] == theirs[0].partition("Error")[0]


@pytest.mark.parametrize(
    "name",
    ["float64", "cuda", "meta", "meta with a dtype", "no string", "not a function", "is enabled of a number"],
)
def test_errors_and_warnings_are_pytorchs_to_the_letter(name: str, torch: Any) -> None:
    assert _outcome(SCENES[name], distrt) == _outcome(SCENES[name], torch)


# Parameters


def test_a_parameter_is_cast_once_in_the_outermost_block() -> None:
    weight = distrt.ones(2, 2, requires_grad=True)
    x = distrt.ones(2, 2)
    with distrt.autocast("cpu"):
        first = distrt.nn.functional.linear(x, weight)
        with distrt.autocast("cpu"):
            second = distrt.nn.functional.linear(x, weight)
        casts = [each.grad_fn.next_functions for each in (first, second)]
        assert casts[0] == casts[1]
    with distrt.autocast("cpu"):
        third = distrt.nn.functional.linear(x, weight)
    assert third.grad_fn.next_functions != casts[0]


def test_without_the_cache_every_use_casts() -> None:
    weight, x = distrt.ones(2, 2, requires_grad=True), distrt.ones(2, 2)
    with distrt.autocast("cpu", cache_enabled=False):
        first, second = (distrt.nn.functional.linear(x, weight) for _ in range(2))
    assert first.grad_fn.next_functions != second.grad_fn.next_functions


def test_a_cast_that_was_made_under_no_grad_hides_no_gradient(torch: Any) -> None:
    for t in (distrt, torch):
        weight, x = t.ones(2, 2, requires_grad=True), t.ones(2, 2)
        with t.autocast("cpu"):
            with t.no_grad():
                assert not (x @ weight).requires_grad
            out = x @ weight
        out.sum().backward()
        assert weight.grad.tolist() == [[2.0, 2.0], [2.0, 2.0]]


def test_a_step_inside_of_a_block_is_seen_there() -> None:
    weight, x = distrt.nn.Parameter(distrt.ones(2, 2)), distrt.ones(1, 2)
    optimizer = distrt.optim.SGD([weight], lr=0.5)
    with distrt.autocast("cpu"):
        found = []
        for _ in range(2):
            out = (x @ weight).float().sum()
            found.append(out.item())
            optimizer.zero_grad()
            out.backward()
            optimizer.step()
    assert found == [4.0, 2.0]  # PyTorch would go on with the first cast: 4.0 again


def test_gradients_have_the_parameters_dtype_and_pytorchs_values(
    torch: Any, rng: np.random.Generator
) -> None:
    drawn = [rng.standard_normal(shape).astype(np.float32) for shape in ((5, 4), (3, 4), (3,), (3, 3))]
    results = []
    for t in (distrt, torch):
        x, weight, bias, second = (t.from_numpy(each.copy()).requires_grad_() for each in drawn)
        with t.autocast("cpu", dtype=t.bfloat16):
            hidden = t.nn.functional.linear(x, weight, bias)
            with t.autocast("cpu", enabled=False):
                island = hidden.float() @ second
            out = t.nn.functional.mse_loss(t.tanh(island) @ second, hidden)
        out.backward()
        results.append([out, hidden, island, x.grad, weight.grad, bias.grad, second.grad])
    for number, (mine, reference) in enumerate(zip(*results, strict=True)):
        assert_close(mine, reference, str(number), "bfloat16")


def test_second_derivatives_under_autocast_agree(torch: Any) -> None:
    found = []
    for t in (distrt, torch):
        x = t.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
        with t.autocast("cpu"):
            out = (x @ x).sum()
            (first,) = t.autograd.grad(out, x, create_graph=True)
            penalty = first.pow(2).sum()
        penalty.backward()
        found.append((str(first.dtype), first.tolist(), x.grad.tolist()))
    assert found[0] == found[1]


def test_a_backward_pass_inside_of_a_block_gives_the_same_gradients() -> None:
    found = []
    for inside in (False, True):
        layer = distrt.nn.Linear(3, 2)
        with distrt.no_grad():
            layer.weight.fill_(0.3)
        with distrt.autocast("cpu"):
            loss = layer(distrt.ones(4, 3)).sum()
            if inside:
                loss.backward()
        if not inside:
            loss.backward()
        found.append(layer.weight.grad.tolist())
    assert found[0] == found[1]


# Around other parts


def test_a_new_thread_starts_without_autocast() -> None:
    found = []
    with distrt.autocast("cpu"):
        thread = threading.Thread(
            target=lambda: found.append(
                (distrt.is_autocast_enabled("cpu"), (distrt.ones(2, 2) @ distrt.ones(2, 2)).dtype)
            )
        )
        thread.start()
        thread.join()
    assert found == [(False, distrt.float32)]


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpointed_part_is_repeated_in_the_dtypes_of_its_forward_pass(use_reentrant: bool) -> None:
    seen = []

    def part(x: Any) -> Any:
        out = x @ weight
        seen.append(out.dtype)
        return out.relu()

    weight = distrt.randn(3, 3, requires_grad=True)
    x = distrt.randn(2, 3, requires_grad=True)
    with distrt.autocast("cpu", dtype=distrt.float16):
        out = distrt.utils.checkpoint.checkpoint(part, x, use_reentrant=use_reentrant)
    out.sum().backward()
    assert seen == [distrt.float16, distrt.float16]
    assert weight.grad.dtype is distrt.float32
    assert not distrt.is_autocast_enabled("cpu")


def _custom(t: Any, **options: Any) -> Any:
    class Product(t.autograd.Function):  # type: ignore[misc]
        @staticmethod
        @t.amp.custom_fwd(device_type="cpu", **options)
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            ctx.inside = t.is_autocast_enabled("cpu")
            return a.mm(b)

        @staticmethod
        @t.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, grad: Any) -> Any:
            a, b = ctx.saved_tensors
            seen.append((ctx.inside, a.dtype, grad.dtype, t.is_autocast_enabled("cpu"), grad.mm(b.t()).dtype))
            return grad.mm(b.t()), a.t().mm(grad)

    seen: list[Any] = []
    x = t.ones(2, 2, requires_grad=True)
    for on in (True, False):
        with t.autocast("cpu", enabled=on):
            out = Product.apply(x, x)
        out.sum().backward()
        seen.append((out.dtype, x.grad.dtype, x.grad.tolist()))
    return repr(seen).replace("distrt", "torch")


@pytest.mark.parametrize("cast", [None, "float32", "float16"])
def test_custom_functions_run_both_ways_in_one_state(cast: str | None, torch: Any) -> None:
    ours, theirs = (
        _custom(t, **({"cast_inputs": getattr(t, cast)} if cast else {})) for t in (distrt, torch)
    )
    assert ours == theirs


def test_what_is_cast_for_a_custom_function_is_pytorchs(torch: Any) -> None:
    def shown(t: Any) -> Any:
        given = [
            t.ones(1),
            (t.ones(1).double(), "text", {"a": t.ones(1).long(), t.ones: t.ones(1).half()}),
            3,
        ]
        cast = t.amp.autocast_mode._cast(given, "cpu", t.bfloat16)
        return type(cast), [each.dtype for each in (cast[0], cast[1][0], cast[1][2]["a"], cast[1][2][t.ones])]

    assert repr(shown(distrt)).replace("distrt", "torch") == repr(shown(torch))


@pytest.mark.parametrize("form", ["custom_fwd", "custom_bwd"])
def test_older_decorators_warn_as_pytorchs(form: str, torch: Any) -> None:
    scene: Scene = lambda t: getattr(t.cuda.amp, form)(len) is len
    ours, theirs = _outcome(scene, distrt), _outcome(scene, torch)
    assert ours == theirs


def test_leaving_a_block_with_a_narrow_tensor_is_told_in_pytorchs_words(torch: Any) -> None:
    said = []
    for t in (distrt, torch):
        with t.autocast("cpu"):
            hidden = t.nn.Linear(4, 4)(t.ones(1, 4))
        with pytest.raises(RuntimeError) as caught:
            t.nn.Linear(4, 4)(hidden)
        said.append(str(caught.value))
    assert said[0] == said[1]
