"""``torch.signal.windows`` against PyTorch, and ``torch.nn.grad``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
import distrt.nn.grad
import distrt.signal
from tests.oracle.scripts import assert_same_outcomes

WINDOWS: dict[str, list[dict[str, Any]]] = {
    "bartlett": [{}],
    "blackman": [{}],
    "cosine": [{}],
    "exponential": [{}, {"tau": 3.0}, {"center": 1.5, "sym": False}],
    "gaussian": [{}, {"std": 2.5}],
    "general_cosine": [{"a": [0.46, 0.23, 0.31]}, {"a": (1.0,)}],
    "general_hamming": [{}, {"alpha": 0.7}],
    "hamming": [{}],
    "hann": [{}],
    "kaiser": [{}, {"beta": 3}],
    "nuttall": [{}],
}


@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_has_pytorchs_points(name: str, torch: Any) -> None:
    for options in WINDOWS[name]:
        for size in (0, 1, 2, 5, 10):
            for sym in {options.get("sym", True), options.get("sym", False)}:
                given = options | {"sym": sym}
                for dtype in ("float32", "float64"):
                    ours = getattr(distrt.signal.windows, name)(size, dtype=getattr(distrt, dtype), **given)
                    theirs = getattr(torch.signal.windows, name)(size, dtype=getattr(torch, dtype), **given)
                    assert (ours.shape, str(ours.dtype)) == (tuple(theirs.shape), str(theirs.dtype))
                    tolerance = 1e-5 if dtype == "float32" else 1e-12
                    np.testing.assert_allclose(
                        ours.numpy(), theirs.numpy(), atol=tolerance, err_msg=f"{size} {given}"
                    )


def test_what_a_window_does_not_take_is_pytorchs(torch: Any) -> None:
    assert set(distrt.signal.windows.__all__) == set(torch.signal.windows.__all__) == set(WINDOWS)
    assert_same_outcomes(
        """
w = t.signal.windows
w.exponential(3, tau=-1.0)
w.exponential(3, center=1.0)
w.gaussian(3, std=0.0)
w.general_cosine(3, a=[])
w.general_cosine(3, a=1.0)
w.kaiser(3, beta=-1)
w.hann(-1)
w.hann(3, dtype=t.int64)
w.bartlett(3, requires_grad=True).requires_grad
""",
        torch,
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_the_gradients_of_a_convolution_are_pytorchs(dims: int, torch: Any, rng: np.random.Generator) -> None:
    x = rng.standard_normal((2, 4, *[7] * dims)).astype(np.float32)
    weight = rng.standard_normal((6, 2, *[3] * dims)).astype(np.float32)
    how = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    out = getattr(torch.nn.functional, f"conv{dims}d")(torch.tensor(x), torch.tensor(weight), None, **how)
    g = rng.standard_normal(tuple(out.shape)).astype(np.float32)
    for library in (distrt, torch):
        tensors = [library.tensor(each) for each in (x, weight, g)]
        room = library.nn.grad
        found = (
            getattr(room, f"conv{dims}d_input")(x.shape, *tensors[1:], **how),
            getattr(room, f"conv{dims}d_weight")(tensors[0], weight.shape, tensors[2], **how),
        )
        if library is distrt:
            ours = found
    for mine, expected in zip(ours, found, strict=True):
        assert not mine.requires_grad
        np.testing.assert_allclose(mine.numpy(), expected.numpy(), rtol=1e-4, atol=1e-4)
