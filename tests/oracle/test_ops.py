"""Every operation against PyTorch: shape, dtype, values, and gradients of the first and second order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
import distrt.core.ops
from distrt.core.op import REGISTRY
from distrt.core.tensors.names import FUNCTIONS, IN_PLACE, METHODS, listed
from tests.oracle.compare import (
    assert_same,
    is_floating,
    outputs_of,
    quietly,
    to_distrt,
    to_torch,
)
from tests.oracle.table import CASES, Case


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation_agrees_with_pytorch(case: Case, torch: Any, seed: int) -> None:
    for dtype in case.dtypes:
        _compare_values(case, dtype, torch, seed)


def _compare_values(case: Case, dtype: str, torch: Any, seed: int) -> None:
    arrays = case.arrays(seed, dtype)
    wanted = [spec.grad and is_floating(array) for spec, array in zip(case.inputs, arrays, strict=True)]
    mine = [to_distrt(array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    theirs = [to_torch(torch, array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    ours, expected = outputs_of(case.run(distrt, *mine)), outputs_of(quietly(case.run, torch, *theirs))
    for number, (out, reference) in enumerate(zip(ours, expected, strict=True)):
        assert_same(out, reference, f"{dtype}: output {number}")
        assert out.requires_grad == reference.requires_grad, f"{dtype}: requires_grad of output {number}"
    pairs = [
        (out, reference) for out, reference in zip(ours, expected, strict=True) if reference.requires_grad
    ]
    if pairs:
        order = case.order if dtype in ("float64", "complex128") else 1
        rng = np.random.default_rng(seed)
        _compare_gradients(torch, pairs, list(zip(mine, theirs, strict=True)), rng, 1, order)


def _compare_gradients(torch: Any, outputs: Any, inputs: Any, rng: Any, depth: int, order: int) -> None:
    """Each order's gradients are the next one's outputs; the rules are differentiated by the gradient they get, too."""
    inputs = [(mine, theirs) for mine, theirs in inputs if theirs.requires_grad]
    seeds = []
    for ours, theirs in outputs:
        drawn = rng.uniform(0.5, 1.5, tuple(theirs.shape))
        if theirs.is_complex():
            drawn = np.asarray(drawn + 1j * rng.uniform(0.5, 1.5, tuple(theirs.shape)))
        pair = (distrt.from_numpy(drawn).to(ours.dtype), torch.from_numpy(drawn).to(theirs.dtype))
        seeds.append(tuple(each.requires_grad_(depth < order) for each in pair))
    found, reference = (
        library.autograd.grad(
            [pair[which] for pair in outputs],
            [pair[which] for pair in inputs],
            [pair[which] for pair in seeds],
            create_graph=depth < order,
            allow_unused=True,
        )
        for which, library in enumerate((distrt, torch))
    )
    for number, (mine, theirs) in enumerate(zip(found, reference, strict=True)):
        what = f"{outputs[0][1].dtype}: gradient of order {depth} of input {number}"
        if depth > 1 and mine is None and theirs is not None:
            # Zero everywhere need not be recorded.
            assert not theirs.any(), f"{what}: None instead of {theirs}"
        else:
            assert (mine is None) == (theirs is None), f"{what}: {mine} instead of {theirs}"
            if mine is not None:
                assert_same(mine, theirs, what, 10.0**depth)
    both = [pair for pair in zip(found, reference, strict=True) if all(each is not None for each in pair)]
    recorded = [(mine, theirs) for mine, theirs in both if mine.requires_grad and theirs.requires_grad]
    if recorded and depth < order:
        _compare_gradients(torch, recorded, inputs + seeds, rng, depth + 1, order)


def test_every_operation_has_a_row() -> None:
    covered = {name for case in CASES for name in (*case.covers, case.row.partition(".")[0])}
    public = {*distrt.core.ops.__all__, *listed(FUNCTIONS), *listed(METHODS)} | {
        f"{n}_" for n in listed(IN_PLACE)
    }
    # Those of sparse tensors are compared by what is made of them (test_sparse*.py), what gives a tensor of a
    # subclass its memory in test_subclasses.py.
    dense = {name for name, function in REGISTRY.items() if ".core.sparse." not in function.__module__}
    assert not sorted((dense | public) - covered - {"rows_given", "_alias"})


def test_a_row_runs_what_it_says_it_covers(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both orders of differentiation, since some operations are only derivatives of others."""
    ran: set[str] = set()
    for name, function in REGISTRY.items():
        function.definition.compile()
        space = function.definition._namespace

        def recorded(*args: Any, inner: Any = space["forward"], name: str = name, **kwargs: Any) -> Any:
            ran.add(name)
            return inner(*args, **kwargs)

        monkeypatch.setitem(space, "forward", recorded)
    claimed = {(case.row, name) for case in CASES for name in case.covers if name in REGISTRY}
    for case in CASES:
        mine = {name for name in case.covers if (case.row, name) in claimed}
        if not mine:  # earlier cases of the row ran what it covers
            continue
        ran.clear()
        arrays = case.arrays(0, case.dtypes[0])
        inputs = [to_distrt(a, s.grad and is_floating(a)) for a, s in zip(arrays, case.inputs, strict=True)]
        results = outputs_of(case.run(distrt, *inputs))
        roots = [out for out in results if out.requires_grad]
        leaves = [leaf for leaf in inputs if leaf.requires_grad]
        for _ in range(2):
            if mine <= ran:
                break
            seeds = [distrt.ones_like(root, requires_grad=True) for root in roots]
            if roots:
                found = distrt.autograd.grad(roots, leaves, seeds, create_graph=True, allow_unused=True)
                roots = [g for g in found if g is not None and g.requires_grad]
                leaves = leaves + seeds
        claimed -= {(case.row, name) for name in ran}
    assert not claimed
