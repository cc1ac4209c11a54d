"""What a trace follows, what it warns of, and what it refuses; beside PyTorch's where that is there."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings
from typing import Any

import pytest

import distrt
from distrt import nn
from distrt.jit import TracerWarning, TracingCheckError


class Branching(nn.Module):
    """Takes a path that depends on its data."""

    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x * 3


def test_control_flow_is_what_it_was_and_a_warning_says_so() -> None:
    with pytest.warns(TracerWarning, match="Python boolean might cause the trace to be incorrect"):
        traced = distrt.jit.trace(Branching(), distrt.ones(2))
    assert traced(-distrt.ones(2)).tolist() == [-2.0, -2.0]


def test_a_check_with_other_inputs_finds_that_the_path_differs() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TracerWarning)
        with pytest.raises(RuntimeError, match="Tracing failed sanity checks") as caught:
            distrt.jit.trace(
                lambda x: x + 1 if x.sum() > 0 else x - 1, distrt.ones(2), check_inputs=[(-distrt.ones(2),)]
            )
    assert isinstance(caught.value, TracingCheckError)


def test_values_that_differ_from_pythons_are_told() -> None:
    calls = []

    def changes(x):
        calls.append(1)
        return x * len(calls)

    with pytest.warns(TracerWarning, match="Output nr 1. of the traced function does not match"):
        distrt.jit.trace(changes, distrt.ones(2))


def test_random_operations_are_told_unless_in_eval() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5))
    with pytest.warns(TracerWarning, match="Trace had nondeterministic nodes"):
        distrt.jit.trace(model, distrt.ones(1, 2))
    distrt.jit.trace(model.eval(), distrt.ones(1, 2))


def test_a_check_leaves_buffers_and_random_numbers_as_they_were() -> None:
    def traced(check: bool) -> tuple[Any, Any]:
        distrt.manual_seed(3)
        model = nn.BatchNorm1d(2)
        distrt.jit.trace(model, distrt.randn(4, 2), check_trace=check)
        return model.running_mean, distrt.rand(3)

    for one, other in zip(traced(True), traced(False), strict=True):
        assert distrt.equal(one, other)


def test_the_callers_tensors_are_not_changed() -> None:
    x = distrt.zeros(2)
    traced = distrt.jit.trace(lambda x: x.add_(1), x)
    assert x.tolist() == [0.0, 0.0] and type(x) is distrt.Tensor
    assert traced(x).tolist() == [1.0, 1.0] and x.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("function", "inputs", "message"),
    [
        (lambda x: x, 3, "not iterable|cannot be traced"),
        (lambda x, n: x, (distrt.ones(2), 3), "cannot be traced"),
        (lambda x: "text", distrt.ones(2), "can be output from traced functions"),
        (lambda x: {"a": x}, distrt.ones(2), "Encountering a dict at the output"),
    ],
)
def test_what_cannot_be_traced_is_refused(function: Any, inputs: Any, message: str) -> None:
    with pytest.raises((RuntimeError, TypeError), match=message):
        distrt.jit.trace(function, inputs)


def test_lists_and_dicts_are_results_where_strict_is_off() -> None:
    traced = distrt.jit.trace(lambda x: {"a": [x, x + 1]}, distrt.ones(2), strict=False)
    assert traced(distrt.zeros(1))["a"][1].tolist() == [1.0]


def test_nested_inputs_keywords_and_several_methods() -> None:
    nested = distrt.jit.trace(lambda pair, d: pair[0] * pair[1][0] + d["k"], (
        (distrt.ones(2), [distrt.ones(2)]), {"k": distrt.ones(2)},
    ))  # fmt: skip
    assert nested((distrt.ones(1), [distrt.full((1,), 3.0)]), {"k": distrt.ones(1)}).tolist() == [4.0]
    named = distrt.jit.trace(
        lambda x, y: x - y, example_kwarg_inputs={"y": distrt.ones(1), "x": distrt.ones(1)}
    )
    assert named(y=distrt.ones(1), x=distrt.zeros(1)).item() == -1

    class Two(nn.Linear):
        def other(self, x):
            return self.weight.sum() * x

    module = Two(2, 2)
    both = distrt.jit.trace_module(module, {"forward": distrt.ones(1, 2), "other": distrt.ones(2)})
    assert distrt.equal(both.other(distrt.ones(3)), module.other(distrt.ones(3)))
    assert distrt.equal(both(distrt.ones(3, 2)), module(distrt.ones(3, 2)))


def test_a_traced_module_trains_and_is_printed() -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1))
    traced = distrt.jit.trace(model, distrt.ones(1, 2))
    optimizer = distrt.optim.SGD(traced.parameters(), lr=0.1)
    x, y = distrt.randn(16, 2), distrt.randn(16, 1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = ((traced(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] and distrt.equal(traced(x), model(x))
    assert "torch.nn.functional.linear(" in traced.code and "def forward(self, input: Tensor)" in traced.code
    assert str(traced.graph).startswith("graph(%self : Module, %input : Tensor):")
    assert [name for name, _ in traced.named_parameters()] == [name for name, _ in model.named_parameters()]


def test_the_text_of_a_trace_is_readable() -> None:
    def picks(x):
        y = x.repeat(x.shape[0], 1)[:, : x.shape[1] // 2]
        y[0] = 1
        return y.T

    code = distrt.jit.trace(picks, distrt.ones(2, 4)).code
    for line in (
        "size = x.size(0)",
        "floordiv = (size_3 // 2)",
        "repeat[:, :floordiv]",
        "[0] = 1",
        "T = index.T",
    ):
        assert line in code


def test_sizes_are_lists_in_programs() -> None:
    @distrt.jit.script
    def grows(x):
        return x.reshape(x.shape + [1]).size()  # noqa: RUF005 - a list, not a tuple

    assert grows(distrt.ones(2, 3)) == [2, 3, 1]


def test_a_trace_of_a_script_and_a_script_of_a_trace() -> None:
    traced = distrt.jit.trace(lambda x: x + distrt.tensor([1.0, 2.0]), distrt.ones(2))

    def calls(x, n: int):
        for _ in range(n):
            x = traced(x)
        return x

    scripted = distrt.jit.script(calls)
    loaded = distrt.jit.load(io.BytesIO(scripted.save_to_buffer()))
    assert scripted(distrt.zeros(2), 3).tolist() == loaded(distrt.zeros(2), 3).tolist() == [3.0, 6.0]
    again = distrt.jit.trace(lambda x: scripted(x, 2), distrt.zeros(2))
    assert again(distrt.ones(2)).tolist() == [3.0, 5.0]


def test_nothing_has_to_be_called_before_a_trace() -> None:
    """Operations are compiled at their first call; until then many share the code of a stub."""
    script = "import distrt as torch\nm = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.ReLU())\n"
    script += "print(torch.jit.trace(m, torch.randn(1, 4)).graph)"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "functional.relu(linear)" in ended.stdout
