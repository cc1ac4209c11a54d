"""In-place functions of the library's top level are the methods of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.tensors.names import IN_PLACE_FUNCTIONS

ARGUMENTS: dict[str, str] = {
    "addmv_": "(t.ones(3, 2).double(), t.ones(2).double())",
    "clamp_": "(0.3, 0.6)",
    "clip_": "(0.3, 0.6)",
    "clamp_max_": "(0.5,)",
    "clamp_min_": "(0.5,)",
    "fill_": "(2.0,)",
    "gcd_": "(t.tensor([4, 6, 9]),)",
    "lcm_": "(t.tensor([4, 6, 9]),)",
    "index_put_": "((t.tensor([1]),), t.tensor(7.0).double())",
    "ldexp_": "(t.tensor([1, 2, 3]),)",
    "resize_as_": "(t.ones(1, 3),)",
    "xlogy_": "(t.tensor([0.5, 2.0, 3.0]),)",
}


def _start(library: Any, name: str) -> Any:
    if name in ("gcd_", "lcm_"):
        return library.tensor([2, 3, 6])
    values = [1.2, 2.5, 3.0] if name in ("acosh_", "arccosh_") else [0.2, 0.5, 0.8]
    return library.tensor(values, dtype=library.float64)


@pytest.mark.parametrize("name", IN_PLACE_FUNCTIONS.split())
def test_the_function_changes_its_argument_as_in_pytorch(name: str, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        x = _start(library, name)
        arguments = eval(ARGUMENTS.get(name, "()"), {"t": library})
        assert getattr(library, name)(x, *arguments) is x
        found.append(x.numpy())
        with pytest.raises(TypeError):
            getattr(library, name)([1.0], *arguments)
    np.testing.assert_allclose(found[0], found[1], 1e-12)
