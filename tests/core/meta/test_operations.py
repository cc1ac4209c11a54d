"""The op table on the meta device beside the CPU: sizes, dtypes, strides, gradients; and what needs data says so."""

from __future__ import annotations

import fnmatch
from typing import Any

import pytest

import distrt
from distrt.core.errors import NoDataError
from tests.oracle.compare import is_floating, outputs_of, to_distrt
from tests.oracle.table import CASES, Case

META = distrt.device("meta")
PARTS = 8

#: Rows whose results, or whose sizes, follow from the data: shell patterns.
NEEDS_DATA = (
    "*, packed, *",
    "add.alpha as a tensor",
    "addmm with factors in tensors",
    "allclose",
    "bincount",
    "clamp, one tensor and one number",
    "cov.weights",
    "ctc_loss*",
    "dims and corrections as tensors",
    "dirichlet_drawn",
    "gamma_drawn",
    "histogram*",
    "index by mask",
    "index by numpy",
    "index by tensor",
    "masked_scatter*",
    "masked_select*",
    "nonzero*",
    "one_hot",
    "pack_*",
    "repeat_interleave*",
    "set * by mask",
    "set by mask *",
    "tensor_split*",
    "unique*",
    "where, one argument",
)

#: Rows of which some gradients lie in another order than on the CPU, whose kernels choose one.
OTHER_ORDER = (
    "copysign",
    "diagonal_copy",
    "erfinv",
    "fft_fftn.few",
    "masked_fill",
    "normalisation with float32 weights",
    "roll",
)


def _on_meta(tensor: Any) -> Any:
    made = distrt.empty_strided(tuple(tensor.shape), tensor.stride(), dtype=tensor.dtype, device=META)
    return made.requires_grad_(tensor.requires_grad)


def _look(tensor: Any, row: str) -> tuple[Any, ...]:
    steps = () if row in OTHER_ORDER else tensor.stride()
    return tuple(tensor.shape), tensor.dtype, steps, tensor.requires_grad


def _compare(case: Case, dtype: str) -> None:
    arrays = case.arrays(0, dtype)
    wanted = [spec.grad and is_floating(array) for spec, array in zip(case.inputs, arrays, strict=True)]
    here = [to_distrt(array, grad) for array, grad in zip(arrays, wanted, strict=True)]
    there = [_on_meta(each) if isinstance(each, distrt.Tensor) else each for each in here]
    expected = outputs_of(case.run(distrt, *here))
    with META:
        found = outputs_of(case.run(distrt, *there))
    pairs = []
    for mine, reference in zip(found, expected, strict=True):
        if isinstance(reference, distrt.Tensor):
            assert mine.is_meta
            assert _look(mine, case.row) == _look(reference, case.row)
            if mine.requires_grad:
                pairs.append((mine, reference))
    if pairs:
        _compare_gradients(case.row, pairs, there, here)


def _compare_gradients(row: str, pairs: list[Any], *inputs: list[Any]) -> None:
    gradients = []
    for number, given in enumerate(inputs):
        outputs = [pair[number] for pair in pairs]
        leaves = [each for each in given if isinstance(each, distrt.Tensor) and each.requires_grad]
        seeds = [distrt.ones_like(each) for each in outputs]
        gradients.append(distrt.autograd.grad(outputs, leaves, seeds, allow_unused=True))
    for mine, reference in zip(*gradients, strict=True):
        assert (mine is None) == (reference is None)
        if mine is not None:
            assert mine.is_meta
            assert _look(mine, row) == _look(reference, row)


def _needs_data(row: str) -> bool:
    return any(fnmatch.fnmatch(row, each) for each in NEEDS_DATA)


def _failures(cases: list[Case], dtypes: int) -> list[str]:
    failed = []
    for case in cases:
        for dtype in case.dtypes[:dtypes]:
            try:
                _compare(case, dtype)
            except NoDataError as fault:
                if not _needs_data(case.row):
                    failed.append(f"{case} {dtype}: {fault}")
            except Exception as fault:
                failed.append(f"{case} {dtype}: {type(fault).__name__}: {fault}")
    return failed


def test_a_few_operations_look_as_on_the_cpu() -> None:
    assert not _failures(CASES[::97], 1)


@pytest.mark.ci
@pytest.mark.parametrize("part", range(0, PARTS, 4))
def test_a_part_of_the_op_table_looks_as_on_the_cpu(part: int) -> None:
    assert not _failures(CASES[part::PARTS], 1)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_op_table_looks_as_on_the_cpu(part: int) -> None:
    assert not _failures(CASES[part::PARTS], 99)


@pytest.mark.ci
def test_every_pattern_of_what_needs_data_names_a_row_that_is_refused() -> None:
    idle = set(NEEDS_DATA)
    for case in CASES:
        for pattern in [each for each in idle if fnmatch.fnmatch(case.row, each)]:
            try:
                _compare(case, case.dtypes[0])
            except NoDataError:
                idle.discard(pattern)
    assert not idle
