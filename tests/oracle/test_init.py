"""``nn.init`` against PyTorch, where no chance is involved: gains, fans, fixed patterns, errors."""

from __future__ import annotations

from typing import Any

import pytest

import distrt
from distrt.nn import init


@pytest.mark.parametrize(
    "args",
    [
        *((name,) for name in "linear conv1d conv2d conv3d sigmoid tanh relu leaky_relu selu".split()),
        *((f"conv_transpose{dims}d",) for dims in (1, 2, 3)),
        ("leaky_relu", 0.2),
        ("leaky_relu", 1),
        ("leaky_relu", None),
        ("relu", 3.0),
    ],
)
def test_gains_are_pytorchs(args: tuple[Any, ...], torch: Any) -> None:
    ours, theirs = init.calculate_gain(*args), torch.nn.init.calculate_gain(*args)
    assert ours == theirs and type(ours) is type(theirs)


@pytest.mark.parametrize(
    "text",
    [
        "init.eye_(t.empty(3, 5))",
        "init.eye_(t.empty(5, 3, dtype=t.float64))",
        "init.eye_(t.empty(2, 2, dtype=t.int64))",
        "init.dirac_(t.empty(4, 2, 3))",
        "init.dirac_(t.empty(6, 2, 2, 3), groups=3)",
        "init.dirac_(t.empty(6, 4, 1, 4, 3), 2)",
        "init.dirac_(t.empty(0, 4, 3))",
        "init.constant_(t.empty(2, 3), 0.25)",
        "init.constant_(t.empty(2, 3, dtype=t.int32), 3)",
        "init.ones_(t.empty(2, dtype=t.bool))",
        "init.zeros_(t.empty(()))",
        "init.orthogonal_(t.empty(0, 3))",
    ],
)
def test_fixed_patterns_are_pytorchs(text: str, torch: Any) -> None:
    ours, theirs = (eval(text, {"t": library, "init": library.nn.init}) for library in (distrt, torch))
    assert str(ours.dtype) == str(theirs.dtype) and ours.tolist() == theirs.tolist()


@pytest.mark.parametrize(
    "text",
    [
        "init.calculate_gain('gelu')",
        "init.calculate_gain('leaky_relu', True)",
        "init.calculate_gain('leaky_relu', 'steep')",
        "init.xavier_uniform_(t.empty(3))",
        "init.xavier_normal_(t.empty(()))",
        "init.kaiming_uniform_(t.empty(3))",
        "init.kaiming_normal_(t.empty(3, 4), mode='fan')",
        "init.kaiming_normal_(t.empty(3, 4), nonlinearity='gelu')",
        "init.orthogonal_(t.empty(3))",
        "init.eye_(t.empty(3))",
        "init.dirac_(t.empty(3, 3))",
        "init.dirac_(t.empty(4, 2, 3), 3)",
        "init.sparse_(t.empty(3), 0.5)",
        "init.trunc_normal_(t.empty(3), a=1, b=-1)",
        "init.normal_(t.empty(3), 0, -1)",
        "init.xavier_uniform_(t.empty(3, 4), 1.0, 1)",
    ],
)
def test_errors_are_pytorchs(text: str, torch: Any) -> None:
    said = []
    for library in (distrt, torch):
        with pytest.raises(Exception) as caught:
            eval(text, {"t": library, "init": library.nn.init})
        said.append(caught)
    ours, theirs = said
    assert issubclass(ours.type, theirs.type), f"{ours.value!r}; PyTorch: {theirs.value!r}"
    if theirs.type is ValueError:
        assert str(ours.value) == str(theirs.value)


@pytest.mark.parametrize("shape", [(3, 4), (5, 2, 3), (4, 2, 3, 3), (2, 2, 2, 2, 2)])
def test_fans_are_pytorchs(shape: tuple[int, ...], torch: Any) -> None:
    found = [
        library.nn.init._calculate_fan_in_and_fan_out(library.empty(shape)) for library in (distrt, torch)
    ]
    assert found[0] == found[1]
