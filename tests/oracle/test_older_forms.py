"""PyTorch's older order of arguments, beside PyTorch, which takes it still: numbers among the tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.definitions import older_forms

Call = Callable[[Any, Any, Any, Any], Any]

#: Of a library, a matrix, a vector and a batch of matrices.
CALLS: dict[str, Call] = {
    "add_": lambda t, m, v, b: m.clone().add_(-0.5, m),
    "add_ of a number": lambda t, m, v, b: m.clone().add_(0.5, 2),
    "sub_": lambda t, m, v, b: m.clone().sub_(2, m),
    "addcmul_": lambda t, m, v, b: m.clone().addcmul_(0.5, m, m),
    "addcdiv_": lambda t, m, v, b: m.clone().addcdiv_(-0.5, m, m.exp()),
    "addmm_, one number": lambda t, m, v, b: m.clone().addmm_(0.5, m, m),
    "addmm_": lambda t, m, v, b: m.clone().addmm_(0.5, 2, m, m),
    "addmm": lambda t, m, v, b: m.addmm(0.5, 2, m, m),
    "addmm, a function": lambda t, m, v, b: t.addmm(0.5, m, 2, m, m),
    "addmm, a function with one number": lambda t, m, v, b: t.addmm(0.5, m, m, m),
    "addmv_": lambda t, m, v, b: v.clone().addmv_(0.5, 2, m, v),
    "addr_": lambda t, m, v, b: m.clone().addr_(0.5, 2, v, v),
    "baddbmm_": lambda t, m, v, b: b.clone().baddbmm_(0.5, 2, b, b),
    "addbmm": lambda t, m, v, b: t.addbmm(0.5, m, 2, b, b),
}
WRONG: dict[str, Call] = {
    "a number behind": lambda t, m, v, b: m.clone().add_(m, 0.5),
    "a number too many": lambda t, m, v, b: m.clone().add_(0.5, 2, m),
    "twice": lambda t, m, v, b: m.clone().add_(0.5, m, alpha=2),
    "a method's order of a function": lambda t, m, v, b: t.addmm(m, 0.5, m, m),
    "a function's order of a method": lambda t, m, v, b: m.addmm(m, 0.5, m),
}


def given(library: Any) -> tuple[Any, Any, Any]:
    values = np.random.default_rng(0).standard_normal((5, 3, 3))
    matrix, batch = library.tensor(values[0]), library.tensor(values[1:])
    return matrix.requires_grad_(), library.tensor(values[0, 0]).requires_grad_(), batch.requires_grad_()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore:This overload of")
def test_it_is_taken_as_in_pytorch(name: str, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        inputs = given(library)
        result = CALLS[name](library, *inputs)
        result.square().sum().backward()
        grads = [each.grad for each in inputs if each.grad is not None]
        found.append([each.detach().numpy() for each in (result, *grads)])
    assert len(found[0]) == len(found[1])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", WRONG)
def test_what_never_was_a_form_is_refused(name: str, torch: Any) -> None:
    for library in (distrt, torch):
        with pytest.raises(TypeError):
            WRONG[name](library, *given(library))


def test_it_warns_once_in_pytorchs_words() -> None:
    older_forms._tell_once.cache_clear()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(3):
            distrt.ones(2).add_(0.5, distrt.ones(2))
    assert [str(each.message) for each in told] == [
        "This overload of add_ is deprecated:\n\tadd_(Number alpha, Tensor other)\n"
        "Consider using one of the following signatures instead:\n\tadd_(Tensor other, *, Number alpha = 1)"
    ]
    assert told[0].filename == __file__
