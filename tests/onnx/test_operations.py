"""Every row of the op table as an ONNX model: the numbers are the operation's, or the export says what is missing."""

import warnings

import numpy as np
import pytest

import distrt
from distrt.onnx import OnnxExporterError
from distrt.onnx.rules import RULES
from distrt.tracing import lookup
from tests.onnx.runtime import leaves, session
from tests.oracle.compare import to_distrt
from tests.oracle.table import CASES

#: Rows in which onnxruntime and PyTorch differ for the same operation.
DIFFERENT = {
    "nan": "max-pooling, extremes and sorting in onnxruntime lose NaN",
    "infinities": "max-pooling in onnxruntime loses NaN",
    "pow of integers by integers": "integers to negative powers",
    "einsum Ab,bC": "onnxruntime refuses upper-case letters",
    "normalize into": "out= of another size",
    "ctc_loss": "the row differentiates",
    "dropout": "random",
}


def is_different(case):
    return any(part in case.row for part in DIFFERENT)


def check(case):
    dtype = "float32" if "float32" in case.dtypes else case.dtypes[0]
    arrays = case.arrays(0, dtype)
    inputs = [to_distrt(array, False) for array in arrays]
    if any(array.size == 0 or array.dtype.kind == "c" for array in arrays):
        return  # onnxruntime divides by the size of empty ones, and has no complex numbers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = leaves(case.run(distrt, *[each.clone() for each in inputs]))
        if any(each.numel() == 0 or each.is_complex() for each in expected):
            return
        try:
            program = distrt.onnx.export(lambda *given: case.run(distrt, *given), tuple(inputs))
        except OnnxExporterError:
            return
    try:
        ready = session(program)
    except Exception as error:  # its own class, for kernels that it does not have
        assert "NOT_IMPLEMENTED" in str(error)
        return
    given = zip(ready.get_inputs(), arrays, strict=True)
    for mine, theirs in zip(
        ready.run(None, {port.name: np.array(array) for port, array in given}), expected, strict=True
    ):
        theirs = theirs.detach().numpy()
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine.astype(float), theirs.astype(float), rtol=2e-3, atol=1e-4)


ALIKE = [case for case in CASES if not is_different(case)]


@pytest.mark.parametrize("case", ALIKE[::97], ids=str)
def test_some_operations_give_the_same_numbers_in_onnxruntime(case):
    check(case)


@pytest.mark.ci
@pytest.mark.parametrize("case", ALIKE, ids=str)
def test_every_operation_gives_the_same_numbers_or_an_error(case):
    check(case)


def test_every_rule_is_one_of_an_operation():
    for target in RULES:
        lookup(target)
