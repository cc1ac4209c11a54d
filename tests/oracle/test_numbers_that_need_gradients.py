"""Where a number is expected, a tensor that requires grad is refused, as by PyTorch: it would silently get none."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import distrt

CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "full": lambda t, x: t.full((2,), x),
    "full_like": lambda t, x: t.full_like(t.ones(2), x),
    "new_full": lambda t, x: t.ones(1).new_full((2,), x),
    "arange": lambda t, x: t.arange(0, x, 0.25),
    "arange by step": lambda t, x: t.arange(0, 1, x),
    "alpha": lambda t, x: t.add(t.ones(2), t.ones(2), alpha=x),
    "alpha in place": lambda t, x: t.ones(2).sub_(t.ones(2), alpha=x),
    "value": lambda t, x: t.addcmul(t.ones(2), t.ones(2), t.ones(2), value=x),
    "beta": lambda t, x: t.addmm(t.ones(2, 2), t.ones(2, 2), t.ones(2, 2), beta=x),
    "alpha of batches": lambda t, x: t.baddbmm(t.ones(1, 2, 2), t.ones(1, 2, 2), t.ones(1, 2, 2), alpha=x),
    "pad": lambda t, x: t.nn.functional.pad(t.ones(2), (1, 1), value=x),
    "scale": lambda t, x: t.nn.functional.scaled_dot_product_attention(*[t.ones(1, 2, 2)] * 3, scale=x),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_number_may_be_a_tensor_that_needs_no_gradient(name: str, torch: ModuleType) -> None:
    for lib in (distrt, torch):
        for needing in (lib.tensor(0.5, requires_grad=True), lib.tensor(0.25, requires_grad=True) * 2):
            with pytest.raises(TypeError):
                CALLS[name](lib, needing)
            with lib.no_grad(), pytest.raises(TypeError):
                CALLS[name](lib, needing)
    mine, theirs = (CALLS[name](lib, lib.tensor(0.5)).tolist() for lib in (distrt, torch))
    assert mine == theirs


def test_the_error_says_what_to_do() -> None:
    with pytest.raises(
        TypeError, match=r"argument 'alpha' must be Number, not Tensor: it requires grad.*detach"
    ):
        distrt.add(distrt.ones(2), distrt.ones(2), alpha=distrt.tensor(0.5, requires_grad=True))
