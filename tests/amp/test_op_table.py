"""Every row of the op table under CPU autocast, beside PyTorch: dtypes, values and gradients of the first order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import distrt
from tests.amp.closeness import assert_close
from tests.oracle.compare import is_floating, outputs_of, quietly, to_distrt, to_torch, values
from tests.oracle.table import CASES, Case

#: oneDNN has no kernel for float32 states here, so PyTorch's own LSTM fails in a block; ours is all narrow.
_REFUSED_BY_PYTORCH = ("lstm", "lstm, batch first, both directions")
#: Its backward pass multiplies matrices of two dtypes in PyTorch, and fails.
_NO_BACKWARD_IN_PYTORCH = ("linalg_pinv", "linalg_pinv.hermitian", "linalg_pinv.atol")
NARROW = ("bfloat16", "float16")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_operation_agrees_with_pytorch_under_autocast(case: Case, torch: Any, seed: int) -> None:
    for narrow in NARROW if case.number == 0 else NARROW[:1]:
        for dtype in ("float32", narrow) if case.number else ("float32", narrow, "float64"):
            if dtype in case.dtypes:
                _compare(case, dtype, narrow, torch, seed)


def _compare(case: Case, dtype: str, narrow: str, torch: Any, seed: int) -> None:
    arrays = case.arrays(seed, dtype)
    wanted = [spec.grad and is_floating(array) for spec, array in zip(case.inputs, arrays, strict=True)]
    what = f"{dtype} inputs, {narrow} autocast"
    theirs = [to_torch(torch, array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    try:
        expected = _run(torch, case, narrow, theirs)
    except (RuntimeError, NotImplementedError) as refused:
        _compare_refusal(case, dtype, narrow, refused, arrays)
        return
    mine = [to_distrt(array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    ours = _run(distrt, case, narrow, mine)
    again = [to_torch(torch, array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    plain = _run(torch, case, narrow, again, enabled=False)
    changes = not all(_equal(one, other) for one, other in zip(expected, plain, strict=True))
    for number, (out, reference) in enumerate(zip(ours, expected, strict=True)):
        assert_close(out, reference, f"{what}: output {number}", narrow if changes else "")
        assert out.requires_grad == reference.requires_grad, f"{what}: requires_grad of output {number}"
    if case.row not in _NO_BACKWARD_IN_PYTORCH:
        _compare_gradients(torch, ours, expected, (mine, theirs), what, narrow if changes else "", seed)


def _run(library: Any, case: Case, narrow: str, inputs: list[Any], enabled: bool = True) -> list[Any]:
    with library.autocast("cpu", dtype=getattr(library, narrow), enabled=enabled):
        return outputs_of(quietly(case.run, library, *inputs))


def _compare_refusal(case: Case, dtype: str, narrow: str, refused: Exception, arrays: Any) -> None:
    if case.row in _REFUSED_BY_PYTORCH and "primitive" in str(refused):
        return
    with pytest.raises(type(refused)):
        _run(distrt, case, narrow, [to_distrt(array) for array in arrays])


def _equal(one: Any, other: Any) -> bool:
    return one.dtype == other.dtype and np.array_equal(
        values(one), values(other), equal_nan=one.is_floating_point()
    )


def _compare_gradients(
    torch: Any, ours: list[Any], theirs: list[Any], inputs: Any, what: str, narrow: str, seed: int
) -> None:
    pairs = [pair for pair in zip(ours, theirs, strict=True) if pair[1].requires_grad]
    leaves = [pair for pair in zip(*inputs, strict=True) if pair[1].requires_grad]
    if not pairs:
        return
    rng = np.random.default_rng(seed)
    seeds = []
    for mine, reference in pairs:
        drawn = rng.uniform(0.5, 1.5, tuple(reference.shape))
        if reference.is_complex():
            drawn = np.asarray(drawn + 1j * rng.uniform(0.5, 1.5, tuple(reference.shape)))
        seeds.append((distrt.from_numpy(drawn).to(mine.dtype), torch.from_numpy(drawn).to(reference.dtype)))
    found, reference = (
        library.autograd.grad(
            [pair[which] for pair in pairs],
            [pair[which] for pair in leaves],
            [pair[which] for pair in seeds],
            allow_unused=True,
        )
        for which, library in enumerate((distrt, torch))
    )
    for number, (mine, other) in enumerate(zip(found, reference, strict=True)):
        assert (mine is None) == (other is None), f"{what}: gradient {number} is {mine} instead of {other}"
        if mine is not None:
            assert_close(mine, other, f"{what}: gradient {number}", narrow, 10.0)
