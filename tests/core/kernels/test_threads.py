"""Sharing a kernel's work among threads."""

import threading

import numpy as np
import pytest

import distrt as torch
from distrt.core.kernels import loops, rows, softmax
from distrt.core.kernels.attention import call
from distrt.core.kernels.threads import in_parts


@pytest.fixture
def set_threads():
    """Sets how many threads there may be, until the test ends."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 7, 24, 100])
def test_parts_are_whole_units_and_cover_everything_once(set_threads, count):
    set_threads(3)
    found = []
    in_parts(count, 8, lambda number, begin, end: found.append((number, begin, end)))
    assert [n for _, begin, end in sorted(found) for n in range(begin, end)] == list(range(count))
    assert all(begin % 8 == 0 and (end % 8 == 0 or end == count) for _, begin, end in found)
    assert len(found) <= 3


def test_a_fault_in_another_thread_is_the_callers(set_threads):
    set_threads(2)

    def work(number, begin, end):
        if threading.current_thread() is not threading.main_thread():
            raise MemoryError(f"part {number}")

    with pytest.raises(MemoryError, match="part 1"):
        in_parts(4, 1, work)


@pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")
def test_several_threads_give_the_bits_of_one(set_threads, rng):
    heads = [rng.standard_normal((5, 13, 8)).astype(np.float32) for _ in range(4)]
    lines = rng.standard_normal((200, 64)).astype(np.float32)
    found = []
    for count in (1, 3):
        set_threads(count)
        out = np.empty_like(heads[0])
        log_totals = call.attend(*heads[:3], None, True, 0.3, out)
        made = call.attend_back(*heads[:3], None, True, 0.3, out, heads[3], log_totals)
        normal, average, variance = rows.normalise(lines, None, None, 1e-5, True)
        slopes = rows.slopes(lines, lines, None, average, variance, 1e-5, True)
        found.append([out, *made, normal, *slopes, *softmax.spread(lines)])
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
