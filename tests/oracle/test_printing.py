"""The text of tensors equals PyTorch's."""

import numpy as np
import pytest

import distrt
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
}


@pytest.mark.parametrize("case", CASES)
def test_tensor_text_equals_pytorchs(case):
    assert str(CASES[case](distrt)) == str(CASES[case](torch))


def test_random_tensors_text_equals_pytorchs(rng):
    for _ in range(200):
        shape = tuple(rng.integers(0, 6, rng.integers(0, 4)))
        values = (rng.standard_normal(shape) * 10.0 ** rng.integers(-6, 10)).astype(np.float32)
        values = np.asarray(np.round(values) if rng.random() < 0.3 else values)
        assert str(distrt.from_numpy(values)) == str(torch.from_numpy(values))


def test_parameters_say_that_they_are():
    ours = distrt.nn.Parameter(distrt.ones(2, 2))
    assert repr(ours) == repr(torch.nn.Parameter(torch.ones(2, 2)))
