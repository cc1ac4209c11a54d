"""The text of tensors equals PyTorch's."""

from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.tensors.printing import get_printoptions, printoptions
from tests.oracles import require_torch

torch = require_torch()

CASES = {
    "whole floats": lambda t: t.tensor([4.0, 10.0, -18.0]),
    "fractions": lambda t: t.tensor([1.5, 2.25, -100.125]),
    "small and large": lambda t: t.tensor([1e-8, 1.0]),
    "large whole": lambda t: t.tensor([1e10, 1.0]),
    "not a number": lambda t: t.tensor([float("nan"), 1.0, float("-inf")]),
    "only zeros": lambda t: t.zeros(2, 3),
    "0-d": lambda t: t.tensor(3.5),
    "0-d integer": lambda t: t.tensor(7),
    "bool": lambda t: t.tensor([[True, False], [False, True]]),
    "integers of many widths": lambda t: t.tensor([[1, -200], [30000, 4]]),
    "float64": lambda t: t.zeros(2, 2, dtype=t.float64),
    "float16": lambda t: t.ones(3, dtype=t.float16),
    "bfloat16": lambda t: t.tensor([0.5, 3.0], dtype=t.bfloat16),
    "int32": lambda t: t.arange(3).to(t.int32),
    "empty": lambda t: t.zeros(0),
    "empty of a shape": lambda t: t.zeros(2, 0, 3),
    "empty integers": lambda t: t.zeros(0, dtype=t.int64),
    "requires grad": lambda t: t.ones(2, requires_grad=True),
    "computed": lambda t: t.ones(2, requires_grad=True) * 2,
    "three dims": lambda t: t.arange(24).reshape(2, 3, 4),
    "four dims": lambda t: t.arange(16.0).reshape(2, 2, 2, 2) / 7,
    "wrapped lines": lambda t: t.arange(60),
    "wrapped fractions": lambda t: t.arange(40.0) / 3,
    "summarised": lambda t: t.arange(3000).reshape(50, 60),
    "summarised line": lambda t: t.arange(5000.0),
    "summarised in one dim": lambda t: t.arange(2400).reshape(2, 2, 600),
    "a long line and a note": lambda t: t.ones(14, requires_grad=True) / 3,
    "complex": lambda t: t.tensor([1 + 2j, -3.5 - 0.25j]),
    "complex of whole parts": lambda t: t.tensor([[1 + 2j, 30 - 4j]]),
    "complex128": lambda t: t.tensor([1e-8 + 1j], dtype=t.complex128),
    "0-d complex": lambda t: t.tensor(1 - 1j),
    "negative zero": lambda t: t.tensor([-0.0, 0.0, 1.5]),
    "only not a number": lambda t: t.tensor([float("nan"), float("nan")]),
    "infinite among whole": lambda t: t.tensor([float("inf"), 3.0]),
    "the smallest float": lambda t: t.tensor([1e-45, 1.0]),
    "the largest float": lambda t: t.tensor([3.4e38]),
    "the largest half": lambda t: t.tensor([65504.0, 1.0], dtype=t.float16),
    "the smallest integer": lambda t: t.tensor([-(2**63), 1]),
    "uint8": lambda t: t.tensor([255, 0], dtype=t.uint8),
    "0-d bool": lambda t: t.tensor(True),
    "0-d half": lambda t: t.tensor(1.5, dtype=t.float16),
    "empty of two dims": lambda t: t.zeros(0, 3),
    "empty bools": lambda t: t.zeros(3, 0, dtype=t.bool),
    "empty complex": lambda t: t.zeros(0, dtype=t.complex64),
    "empty in a graph": lambda t: t.zeros(0, 3, requires_grad=True) * 2,
    "summarised complex": lambda t: t.complex(t.arange(1100.0), t.arange(1100.0) / 7),
    "summarised bools": lambda t: t.arange(1200).reshape(30, 40) > 600,
    "summarised in many dims": lambda t: t.arange(4096.0).reshape(8, 8, 8, 8),
    "exactly 1000": lambda t: t.arange(1000),
    "exactly 1001": lambda t: t.arange(1001),
    "five dims": lambda t: t.ones(1, 2, 1, 2, 1),
    "float64 in a graph": lambda t: t.ones(2, dtype=t.float64, requires_grad=True).sum(),
    "a dtype and a wide row": lambda t: t.arange(30, dtype=t.int16),
    "a view": lambda t: t.arange(12.0).reshape(3, 4).t()[1:],
    "expanded": lambda t: t.tensor([1.5, 2]).expand(3, 2),
    "results with names": lambda t: t.tensor([[1.0, 2.0]]).max(1),
    "a Size": lambda t: t.ones(2, 3).shape,
    "a dtype": lambda t: [t.float32, t.bfloat16, t.bool, t.complex64],
    "a device": lambda t: (t.device("cuda:1"), t.device("cpu")),
    "a list": lambda t: [t.ones(2), t.tensor(1)],
    "a parameter": lambda t: t.nn.Parameter(t.ones(2, 2)),
    "a frozen parameter": lambda t: t.nn.Parameter(t.ones(2), requires_grad=False),
    "a parameter in a list": lambda t: [t.nn.Parameter(t.ones(2).double())],
    "a subclass": lambda t: type("Mine", (t.Tensor,), {})([1.0]),
    "a subclass of Parameter": lambda t: type("Mine", (t.nn.Parameter,), {})(t.ones(1)),
}


@pytest.mark.parametrize("case", CASES)
def test_tensor_text_equals_pytorchs(case):
    assert str(CASES[case](distrt)) == str(CASES[case](torch))


OPTIONS: list[dict[str, Any]] = [
    {},
    {},
    {"precision": 2},
    {"sci_mode": True},
    {"sci_mode": False},
    {"linewidth": 40},
    {"threshold": 5},
    {"edgeitems": 1, "threshold": 3},
    {"edgeitems": 0, "threshold": 2},
    {"profile": "short"},
    {"profile": "full"},
]


def _random_array(rng: np.random.Generator, dtype: str) -> np.ndarray:
    shape = tuple(rng.integers(0, 6, rng.integers(0, 4)))
    if rng.random() < 0.1:
        shape = tuple(rng.integers(1, 40, rng.integers(1, 4)))
    if dtype == "bool":
        return np.asarray(rng.random(shape) < 0.5)
    if "int" in dtype:
        limits = np.iinfo(dtype)
        magnitude = 10 ** int(rng.integers(1, 9))
        return np.asarray(rng.integers(max(limits.min, -magnitude), min(limits.max, magnitude), shape, dtype))
    with np.errstate(all="ignore"):
        if "complex" in dtype:
            return np.asarray(_random_floats(rng, shape) + 1j * _random_floats(rng, shape)).astype(dtype)
        return _random_floats(rng, shape).astype("float32" if dtype == "bfloat16" else dtype)


def _random_floats(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = np.asarray(
        rng.standard_normal(shape) * 10.0 ** (rng.integers(-8, 12) if rng.random() < 0.7 else 0)
    )
    if rng.random() < 0.3:
        values = np.round(values)
    if rng.random() < 0.1:
        values = values * 10.0 ** rng.integers(-20, 20, shape)
    for special in (0.0, -0.0, np.nan, np.inf, -np.inf):
        if rng.random() < 0.2:
            values = np.where(rng.random(shape) < 0.3, special, values)
    return np.asarray(values)


@pytest.mark.parametrize(
    "dtype", "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
)
def test_random_tensors_text_equals_pytorchs(dtype, rng):
    for number in range(60):
        values, options = _random_array(rng, dtype), OPTIONS[number % len(OPTIONS)]
        ours, theirs = (
            library.from_numpy(values.copy()).to(getattr(library, dtype)) for library in (distrt, torch)
        )
        with printoptions(**options), torch._tensor_str.printoptions(**options):
            assert str(ours) == str(theirs), options


def test_print_options_stay_until_they_are_set_again():
    for library in (distrt, torch):
        library.set_printoptions(precision=2, sci_mode=True)
        library.set_printoptions(linewidth=60)  # sci_mode goes back to automatic, the precision stays
    try:
        assert str(distrt.arange(40) / 3.0) == str(torch.arange(40) / 3.0)
    finally:
        for library in (distrt, torch):
            library.set_printoptions(profile="default")
    assert get_printoptions() == torch._tensor_str.get_printoptions()


def test_parameters_say_that_they_are():
    ours = distrt.nn.Parameter(distrt.ones(2, 2))
    assert repr(ours) == repr(torch.nn.Parameter(torch.ones(2, 2)))
