"""What NCCL is asked for in the place of reductions that it lacks, and what users set for it. No GPU is needed."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest

from distrt.comm.nccl import settings
from distrt.comm.nccl.reductions import Plan, plan
from distrt.comm.process_group import ReduceOp
from distrt.comm.reduction import Reduction
from distrt.core.errors import DeviceMissing, SettingError
from tests.conformance.cases import COMPLEX, FLOATS, INTEGERS, has_meaning, numpy_dtype, values

#: What NCCL does, by its names, on two operands of the dtype that it was given.
ASKED = {
    "NCCL_SUM": np.add,
    "NCCL_AVG": np.add,
    "NCCL_PROD": np.multiply,
    "NCCL_MIN": np.minimum,
    "NCCL_MAX": np.maximum,
}
MEANINGFUL = [
    (op, name) for op in ReduceOp for name in (*INTEGERS, *FLOATS, *COMPLEX) if has_meaning(op, name)
]
NATIVE = {"int8", "uint8", "int32", "uint32", "int64", "uint64", *FLOATS}


def by_plan(how: Plan, rows: list[np.ndarray]) -> np.ndarray:
    entered = [how.enter(row) for row in rows]
    assert {each.dtype.name for each in entered} <= NATIVE
    with np.errstate(all="ignore"):
        total = reduce(ASKED[how.op], entered)
        if how.op == "NCCL_AVG":
            total = total / entered[0].dtype.type(len(rows))
    out = np.zeros_like(rows[0])
    target = how.enter(out)
    target[...] = total
    how.leave(target, out)
    return out


@pytest.mark.parametrize(("op", "name"), MEANINGFUL)
def test_a_plan_gives_what_the_reduction_gives(op, name):
    dtype = numpy_dtype(name)
    rows = [values(dtype, (50,), seed) for seed in range(3)]
    if name in ("int16", "uint16"):
        rows = [row * dtype.type(1009) for row in rows]  # sums and products wrap
    expected = np.empty_like(rows[0])
    with np.errstate(all="ignore"):
        Reduction(op, dtype, 3).reduce(rows, expected)
    how = plan(op, dtype)
    if how is None:  # what is combined in order
        assert op.name in ("BAND", "BOR", "BXOR") or (name in COMPLEX and op is ReduceOp.PRODUCT)
        return
    found = by_plan(how, [row.copy() for row in rows])
    if name in INTEGERS:
        assert found.tobytes() == expected.tobytes()
    else:
        np.testing.assert_allclose(found.astype(complex), expected.astype(complex), rtol=0.02, atol=0.02)


def test_users_settings_are_read(monkeypatch):
    assert settings.read() == settings.Settings(False, 3, False)
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "1")
    monkeypatch.setenv("TORCH_NCCL_ASYNC_ERROR_HANDLING", "2")
    assert settings.read() == settings.Settings(True, 2, False)


def test_the_former_names_count_and_the_new_ones_go_before_them(monkeypatch):
    monkeypatch.setenv("NCCL_BLOCKING_WAIT", "1")
    assert settings.read().blocking_wait
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "0")
    assert not settings.read().blocking_wait


def test_a_setting_that_is_none_is_refused_and_one_without_effect_is_named(monkeypatch):
    monkeypatch.setenv("TORCH_NCCL_TRACE_BUFFER_SIZE", "2000")
    with pytest.warns(UserWarning, match="without effect in distrt: TORCH_NCCL_TRACE_BUFFER_SIZE"):
        settings.read()
    monkeypatch.delenv("TORCH_NCCL_TRACE_BUFFER_SIZE")
    monkeypatch.setenv("TORCH_NCCL_BLOCKING_WAIT", "yes")
    with pytest.raises(SettingError, match="TORCH_NCCL_BLOCKING_WAIT='yes': expected one of 0, 1"):
        settings.read()


def test_without_a_gpu_there_is_no_nccl():
    import distrt

    assert not distrt.distributed.is_nccl_available()
    assert not distrt.cuda.nccl.is_available()
    with pytest.raises(DeviceMissing, match="no GPUs found"):
        distrt.cuda.nccl.version()
