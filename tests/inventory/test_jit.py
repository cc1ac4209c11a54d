"""Area V: traced and scripted models, saved and loaded."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import distrt
from distrt import nn
from tests.inventory.rows import covers


class MyModel(nn.Module):
    """The documents' model for a trace."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 5)

    def forward(self, x):
        return distrt.relu(self.linear(x))


class ModelWithControl(nn.Module):
    """The documents' model with a branch on its data."""

    def forward(self, x, steps: int = 2):
        for _ in range(steps):
            x = x + 1
        if x.sum() > 0:
            return x * 2
        else:
            return x * 3


@covers("V1", "V6")
def test_a_trace_serves_other_batch_sizes_and_shares_parameters() -> None:
    model = MyModel().eval()
    traced = distrt.jit.trace(model, distrt.randn(1, 10))
    x = distrt.randn(7, 10)
    assert distrt.equal(traced(x), model(x))
    assert traced.linear.weight is model.linear.weight
    with distrt.no_grad():
        model.linear.weight.zero_()
        model.linear.bias.fill_(2.0)
    assert distrt.equal(traced(x), distrt.full((7, 5), 2.0))


LOADING = """
import sys
import distrt as torch
for name in sys.argv[1:]:
    model = torch.jit.load(name)
    print(model(torch.ones(2, 10)).detach().sum().item(), model(-torch.ones(2, 10)).detach().sum().item())
"""


@covers("V2", "V4")
def test_saved_models_run_in_a_process_without_their_classes(tmp_path: Any) -> None:
    model, control = MyModel().eval(), ModelWithControl()
    distrt.jit.trace(model, distrt.randn(1, 10)).save(tmp_path / "traced_model.pt")
    distrt.jit.script(control).save(str(tmp_path / "scripted_model.pt"))
    (tmp_path / "loading.py").write_text(LOADING)
    names = [str(tmp_path / name) for name in ("loading.py", "traced_model.pt", "scripted_model.pt")]
    ran = subprocess.run(
        [sys.executable, *names], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert ran.returncode == 0, ran.stderr
    given = distrt.ones(2, 10), -distrt.ones(2, 10)
    expected = [[each(x).sum().item() for x in given] for each in (model, control)]
    assert [[float(value) for value in line.split()] for line in ran.stdout.splitlines()] == expected


@covers("V3")
def test_a_script_keeps_branches_loops_and_defaults() -> None:
    scripted = distrt.jit.script(ModelWithControl())
    assert scripted(distrt.ones(2)).tolist() == [6.0, 6.0]
    assert scripted(-distrt.ones(2) * 9).tolist() == [-21.0, -21.0]
    assert scripted(-distrt.ones(2), 0).tolist() == [-3.0, -3.0]
    assert scripted(-distrt.ones(2), steps=5).tolist() == [8.0, 8.0]


@distrt.jit.script
def optimized_op(x):
    """The documents' scripted function."""
    return (x * 2).sum()


@covers("V5", "010")
def test_a_scripted_function_has_a_gradient() -> None:
    x = distrt.randn(10, 10, requires_grad=True)
    optimized_op(x).backward()
    assert distrt.equal(x.grad, distrt.full((10, 10), 2.0))
