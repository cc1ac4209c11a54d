"""Whole models of distrt.vision, whose classes are compiled like a user's: traced and scripted, saved and loaded."""

from __future__ import annotations

import io

import pytest

import distrt
from distrt.vision import models

pytestmark = pytest.mark.ci
NAMES = ["resnet18", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small", "densenet121"]


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_keeps_its_values(name: str, how: str) -> None:
    model = getattr(models, name)(weights=None).eval()
    x, other = distrt.randn(1, 3, 64, 64), distrt.randn(3, 3, 64, 64)
    with distrt.no_grad():
        made = distrt.jit.script(model) if how == "script" else distrt.jit.trace(model, x, check_trace=False)
        loaded = distrt.jit.load(io.BytesIO(made.save_to_buffer()))
        expected = model(other)
        assert distrt.equal(made(other), expected) and distrt.equal(loaded(other), expected)
    assert list(loaded.state_dict()) == list(model.state_dict())
