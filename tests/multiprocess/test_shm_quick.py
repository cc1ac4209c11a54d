"""Small all-reduces as machine code: the results of those in Python, and their ways of ending."""

import signal
import time

import numpy as np
import pytest

from distrt.comm.reduction import ReduceOp, Reduction
from distrt.comm.shm.quick import QuickReduction
from tests.conformance.ranks import ranks
from tests.multiprocess.conftest import PROMPT_S

pytest.importorskip("llvmlite", reason="compiled all-reduces need the extra 'fast'")

PREPARE = """
import zlib
import ml_dtypes
from distrt.comm.process_group import ReduceOp
from distrt.comm.shm import staged
group = join(timeout_s=float(sys.argv[1]))
rank, size = group.rank(), group.size()
"""

BOTH_WAYS = """
def results(after):
    staged._COMPILE_AFTER_CALLS = after
    group._all_reduces.clear()
    found = []
    for name in ("float32", "float64", "float16", "bfloat16", "complex64", "int32", "bool"):
        dtype = np.dtype(getattr(ml_dtypes, name, None) or name)
        for op in (ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT, ReduceOp.MAX):
            if dtype.kind in "bi" and op is ReduceOp.AVG or dtype.kind == "c" and op is ReduceOp.MAX:
                continue
            for count in (0, 1, 17, 1000):
                for step in range(6):
                    random = np.random.default_rng([rank, count, step])
                    numbers = 4 * random.standard_normal(count)
                    array = numbers.astype(dtype) if dtype.kind != "c" else (numbers + 2j * numbers[::-1]).astype(dtype)
                    group.all_reduce(array, op)
                    found.append(zlib.crc32(array.tobytes()))
    ways = [each.run_at_once for each in group._all_reduces.values()]
    return found, sum(way is not None and way.__self__._quick is not None for way in ways)

in_python, none = results(10**9)
compiled, some = results(3)
print("same" if in_python == compiled and not none else "different", some, flush=True)
group.close()
"""


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.ci)])
def test_the_bits_are_those_of_python(size):
    with ranks(size, PREPARE + BOTH_WAYS, "60") as started:
        for rank in range(size):
            # Sums, averages and products of five dtypes (four for complex numbers, whose product is NumPy's), 4 sizes.
            assert started.line(rank) == f"same {4 * 3 * 4 + 4 * 2}"


LATE = """
staged._COMPILE_AFTER_CALLS = 3
one = np.ones(10, np.float32)
for step in range(30):
    one[...] = step
    if rank == step % size and step % 3 == 0:
        time.sleep(0.02)  # the others fall asleep, and have to be woken
    group.all_reduce(one)
    assert (one == size * step).all(), (step, one)
print("ready", flush=True)
"""


def test_ranks_that_come_late_wake_those_who_sleep():
    with ranks(3, PREPARE + LATE + "group.close()\n", "20") as started:
        assert [started.line(rank) for rank in range(3)] == ["ready"] * 3


def test_a_killed_rank_is_named():
    program = """
from distrt.core.errors import PeerFailed
try:
    while True:
        group.all_reduce(one)
except PeerFailed as error:
    print(" ".join(str(error).split()), flush=True)
"""
    with ranks(2, PREPARE + LATE + program, "60") as started:
        assert [started.line(rank) for rank in range(2)] == ["ready"] * 2
        time.sleep(0.05)
        killed_at = time.monotonic()
        started.signal(1, signal.SIGKILL)
        text = started.line(0)
        assert "rank 1 (process" in text and text.startswith("rank 0: all_reduce #"), text
        assert time.monotonic() - killed_at < PROMPT_S


def test_calls_that_differ_are_told():
    program = """
from distrt.core.errors import CollectiveMismatch
try:
    group.all_reduce(one if rank else np.ones(11, np.float32))
except CollectiveMismatch as error:
    print(" ".join(str(error).split()), flush=True)
"""
    with ranks(2, PREPARE + LATE + program, "60") as started:
        assert [started.line(rank) for rank in range(2)] == ["ready"] * 2
        for rank in range(2):
            text = started.line(rank)
            assert "called different things" in text and "10 elements" in text and "11 elements" in text, text


@pytest.mark.parametrize("missing", ["array_data_offset", "can_compile"])
def test_where_there_is_no_such_code_there_is_none(missing, monkeypatch):
    reduction = Reduction(ReduceOp.SUM, np.dtype(np.float32), 2)
    assert QuickReduction.code_for(reduction, 2) is not None
    monkeypatch.setattr(f"distrt.comm.shm.quick.{missing}", lambda *given: None)
    assert QuickReduction.code_for(reduction, 2) is None
