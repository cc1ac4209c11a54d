"""Half precision is added up in float32, and rounded once: gradients of what was broadcast, too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(1, 8, 1), (8, 1), (), (300, 1, 1)])
def test_gradients_of_broadcast_operands(dtype: str, shape: tuple[int, ...], torch: Any) -> None:
    numbers = np.random.default_rng(0).standard_normal((300, 8, 50)).astype(np.float32)

    def gradient(library: Any) -> Any:
        kind = getattr(library, dtype)
        factor = library.ones(shape, dtype=kind, requires_grad=True)
        (library.tensor(numbers).to(kind) * factor).sum().backward()
        return factor.grad.double().numpy()

    mine, theirs = gradient(distrt), gradient(torch)
    assert np.abs(mine - theirs).max() <= 2.0**-8 * np.abs(theirs).max()
