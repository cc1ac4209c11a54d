"""Optimizers against PyTorch: 50 steps with every option, the layout of their state, and loading it both ways."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

import distrt
from tests.oracle.compare import values
from tests.oracle.optimizer_table import (
    NAMED,
    PRECISION,
    RUNS,
    TABLE,
    Run,
    assert_equal,
    carried,
    made,
    two_runs,
)

every_run = pytest.mark.parametrize(("name", "options"), RUNS, ids=NAMED)

#: Numbers that one step of the optimizer has already rounded to bfloat16, or that hang on signs.
COARSE = {"Muon": 2e-2}
ONLY_DOUBLE = ("Rprop",)

ELEMENTWISE = [name for name in TABLE if name not in ("Muon", "Adafactor")]


@pytest.mark.parametrize("dtype", PRECISION)
@every_run
def test_fifty_steps_agree_with_pytorch(name: str, options: Any, dtype: str, torch: Any, seed: int) -> None:
    if options.get("betas") == (0.0, 0.0) or name in ONLY_DOUBLE:
        dtype = "float64"  # each step is lr times a sign: near 0, float32 rounding alone decides it
    ours, theirs = two_runs(torch, name, dtype, seed)
    mine = made(distrt, name, ours.parameters, **options)
    reference = made(torch, name, theirs.parameters, **options)
    for step in range(50):
        ours.step(mine, step)
        theirs.step(reference, step)
    assert_equal(ours.parameters, theirs.parameters, COARSE.get(name, PRECISION[dtype]))


@every_run
def test_state_is_laid_out_as_in_pytorch(name: str, options: Any, torch: Any, seed: int) -> None:
    ours, theirs = two_runs(torch, name, "float64", seed)
    mine = made(distrt, name, ours.parameters, **options)
    reference = made(torch, name, theirs.parameters, **options)
    assert str(mine.state_dict()) == str(reference.state_dict()), "before the first step"
    for step in range(3):
        ours.step(mine, step)
        theirs.step(reference, step)
    state, expected = mine.state_dict(), reference.state_dict()
    rtol = COARSE.get(name, 1e-12)
    assert [list(group.items()) for group in state["param_groups"]] == [
        list(group.items()) for group in expected["param_groups"]
    ]
    assert list(state["state"]) == list(expected["state"])
    for number, entries in expected["state"].items():
        found = state["state"][number]
        assert list(found) == list(entries)
        for key, value in entries.items():
            assert layout(found[key]) == layout(value), key
            np.testing.assert_allclose(values(found[key]), values(value), rtol, rtol, err_msg=key)


@pytest.mark.parametrize("direction", ["from PyTorch", "to PyTorch"])
@every_run
def test_a_run_goes_on_in_the_other_library(
    name: str, options: Any, direction: str, torch: Any, seed: int
) -> None:
    ours, theirs = two_runs(torch, name, "float64", seed)
    first, second = (theirs, ours) if direction == "from PyTorch" else (ours, theirs)
    leading = made(first.library, name, first.parameters, **options)
    for step in range(5):
        first.step(leading, step)
    for parameter, source in zip(second.parameters, first.parameters, strict=True):
        parameter.data = carried(source, first.library, second.library)
    following = made(second.library, name, second.parameters, lr=123.0)
    following.load_state_dict(carried(leading.state_dict(), first.library, second.library))
    for step in range(5, 10):
        first.step(leading, step)
        second.step(following, step)
    assert_equal(ours.parameters, theirs.parameters, COARSE.get(name, 1e-10))


def layout(tensor: Any) -> tuple[Any, ...]:
    strides = tensor.stride() if tensor.numel() else None  # those of no elements are anybody's guess
    return tuple(tensor.shape), strides, str(tensor.dtype), tensor.requires_grad


def test_groups_have_options_of_their_own(torch: Any, seed: int) -> None:
    ours, theirs = two_runs(torch, "SGD", "float64", seed)
    optimizers = []
    for library, run in ((distrt, ours), (torch, theirs)):
        first, second, *rest = run.parameters
        groups = [{"params": [first], "lr": 0.5}, {"params": second, "momentum": 0.9, "nesterov": True}]
        optimizers.append(library.optim.SGD(groups, lr=0.01, weight_decay=0.1))
        optimizers[-1].add_param_group({"params": rest, "weight_decay": 0})
    for step in range(10):
        for optimizer, run in zip(optimizers, (ours, theirs), strict=True):
            for group in optimizer.param_groups:
                group["lr"] *= 0.9  # as a scheduler does
            run.step(optimizer, step)
    assert_equal(ours.parameters, theirs.parameters, 1e-10)
    assert optimizers[0].state_dict()["param_groups"] == optimizers[1].state_dict()["param_groups"]
    assert repr(optimizers[0]) == repr(optimizers[1])


@pytest.mark.parametrize("name", [*TABLE, "SparseAdam", "LBFGS"])
def test_the_text_and_the_order_of_options_are_pytorchs(name: str, torch: Any) -> None:
    mine, reference = (
        made(library, name, [library.ones(2, 3, requires_grad=True)]) for library in (distrt, torch)
    )
    assert repr(mine) == repr(reference)
    assert list(mine.defaults.items()) == list(reference.defaults.items())
    assert list(mine.param_groups[0]) == list(reference.param_groups[0])


@pytest.mark.parametrize("is_compiled", [False, True], ids=["blocks", "compiled"])
@pytest.mark.parametrize("name", TABLE)
def test_parameters_need_not_be_contiguous(
    name: str, is_compiled: bool, torch: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transposed, permuted and strided parameters that have elements in common, and gradients of yet another layout."""
    monkeypatch.setattr("distrt.optim.passes.is_worth_compiling", lambda: is_compiled)
    array = np.random.default_rng(seed).standard_normal((6, 5, 4))
    results = []
    for library in (distrt, torch):
        base = library.tensor(array)
        chosen = [base[0].t(), base.permute(2, 0, 1), base[::2, ::2, 1], base.transpose(1, 2)[1:, :, ::2]]
        if name == "Muon":
            chosen = [base[0].t(), base[::2, ::2, 1]]
        run = Run(library, [])
        run.parameters = [each.clone().detach().requires_grad_() for each in chosen]
        for parameter, like in zip(run.parameters, chosen, strict=True):
            parameter.data = like
        optimizer = made(library, name, run.parameters, lr=0.01)
        for step in range(4):
            run.step(optimizer, step)
        results.append([*run.parameters, base])
        layouts = [
            value.stride() for state in optimizer.state.values() for value in state.values() if value.dim()
        ]
        results.append(layouts)
    assert_equal(results[0], results[2], COARSE.get(name, 1e-10))
    assert results[1] == results[3]


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_complex_parameters_are_pairs_of_real_ones(name: str, torch: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.standard_normal((3, 2)) + 1j * rng.standard_normal((3, 2))
    results = []
    for library in (distrt, torch):
        p = library.tensor(array).requires_grad_()
        optimizer = made(library, name, [p], lr=0.05)
        for step in range(5):
            optimizer.zero_grad()
            ((p - step).abs() ** 2).sum().backward()
            optimizer.step()
        results.append(p)
        results.append([value for value in optimizer.state[p].values() if value is not None])
    assert_equal([results[0], *results[1]], [results[2], *results[3]], 1e-10)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_half_precision_is_rounded_after_each_operation(name: str, dtype: str, torch: Any) -> None:
    results = []
    for library in (distrt, torch):
        p = library.tensor([1.0, -2.0, 0.5, 0.0], dtype=getattr(library, dtype)).requires_grad_()
        optimizer = made(library, name, [p], lr=0.1)
        for _ in range(6):
            optimizer.zero_grad()
            ((p - 0.3) ** 2).sum().backward()
            optimizer.step()
        results.append(p)
    assert str(results[0].dtype) == str(results[1].dtype)
    np.testing.assert_allclose(values(results[0]), values(results[1]), 1e-2, 1e-2)


@pytest.mark.parametrize("name", [name for name in TABLE if name not in ("Muon",)])
def test_foreach_and_fused_give_the_same_numbers(name: str, torch: Any, seed: int) -> None:
    for switch in ("foreach", "fused"):
        if switch == "fused" and name not in ("SGD", "Adam", "AdamW", "Adagrad"):
            continue
        results = []
        for library in (distrt, torch):
            run = two_runs(torch, name, "float64", seed)[library is torch]
            optimizer = made(library, name, run.parameters, **{switch: True})
            for step in range(10):
                run.step(optimizer, step)
            results.append(run.parameters)
            steps = [str(state["step"].dtype) for state in optimizer.state.values() if "step" in state]
            assert set(steps) <= {"torch.float32"}
        # PyTorch's ASGD computes its step in float32 there, and in float64 elsewhere
        assert_equal(*results, 1e-6 if name == "ASGD" else 1e-10)


@pytest.mark.parametrize("name", [*TABLE])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_learning_rate_may_be_a_tensor(name: str, shape: Any, torch: Any, seed: int) -> None:
    results = []
    for library in (distrt, torch):
        run = two_runs(torch, name, "float64", seed)[library is torch]
        lr = library.full(shape, 0.02)
        optimizer = made(library, name, run.parameters, lr=lr)
        for step in range(3):
            run.step(optimizer, step)
        lr.fill_(0.01)  # a group holds the very tensor
        for step in range(3, 6):
            run.step(optimizer, step)
        results.append(run.parameters)
    assert_equal(*results, COARSE.get(name, 1e-7))


def test_betas_may_be_tensors(torch: Any, seed: int) -> None:
    for name, shape in itertools.product(("Adam", "AdamW"), ((), (1,))):
        results = []
        for library in (distrt, torch):
            run = two_runs(torch, name, "float32", seed)[library is torch]
            betas = (library.full(shape, 0.8), library.full(shape, 0.9))
            optimizer = made(library, name, run.parameters, betas=betas)
            for step in range(5):
                run.step(optimizer, step)
            results.append(run.parameters)
            assert optimizer.defaults["betas"][0].dim() == 0
        assert_equal(*results, 1e-5)


@pytest.mark.parametrize("name", ["Adam", "Adagrad", "ASGD", "Adafactor"])
def test_a_count_of_steps_may_have_dims(name: str, torch: Any) -> None:
    """Scripts that share a state between processes begin it with ``torch.zeros(1)``: a number cannot be shared."""
    results = []
    for library in (distrt, torch):
        p = library.ones(3, requires_grad=True)
        optimizer = getattr(library.optim, name)([p])
        (p * p).sum().backward()
        optimizer.step()
        optimizer.state[p]["step"] = library.zeros(1)
        optimizer.step()
        assert optimizer.state[p]["step"].tolist() == [1]
        results.append(values(p.detach()))
        if name != "ASGD" or library is distrt:
            optimizer.state[p]["step"] = 0
            with pytest.raises(
                RuntimeError, match="`state_steps` argument must contain a list of singleton tensors"
            ):
                optimizer.step()
    np.testing.assert_allclose(*results, rtol=1e-6)


def test_the_default_dtype_is_the_dtype_of_step_counts(torch: Any) -> None:
    for library in (distrt, torch):
        library.set_default_dtype(library.float64)
        try:
            p = library.ones(2, requires_grad=True)
            p.sum().backward()
            optimizer = library.optim.NAdam([p])
            optimizer.step()
            dtypes = {key: str(value.dtype) for key, value in optimizer.state[p].items()}
        finally:
            library.set_default_dtype(library.float32)
        assert set(dtypes.values()) == {"torch.float64"}


def test_named_parameters_are_accepted(torch: Any) -> None:
    layouts = []
    for library in (distrt, torch):
        model = library.nn.Linear(3, 2)
        optimizer = library.optim.Adam(model.named_parameters())
        saved = copy.deepcopy(optimizer.state_dict())
        del saved["param_groups"][0]["param_names"]
        optimizer.load_state_dict(saved)
        layouts.append(optimizer.state_dict()["param_groups"])
    assert layouts[0] == layouts[1]
    assert layouts[0][0]["param_names"] == ["weight", "bias"]
