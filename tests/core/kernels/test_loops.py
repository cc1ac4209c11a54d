"""Compiled loops give NumPy's bits, for every step, dtype, length and aliasing."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from distrt.core.kernels.loops import Loop, Step, address, compiled

pytest.importorskip("llvmlite", reason="compiled loops need the extra 'fast'")

DTYPES = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": ml_dtypes.bfloat16,
}
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3.0e38, 65504.0, 65520.0, 1.00390625, -1.01171875]


def arrays_of(dtype, count, size, seed):
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        values = random.standard_normal(size) * 10.0 ** random.integers(-3, 4, size)
        values[: len(SPECIAL)] = np.roll(SPECIAL, number)[:size]
        with np.errstate(over="ignore"):
            made.append(values.astype(np.float64 if dtype == "float64" else np.float32).astype(DTYPES[dtype]))
    return made


def run(loop, sets, constants=()):
    function = compiled(loop)
    assert function is not None
    sizes = np.array([arrays[0].size for arrays in sets], np.int64)
    pointers = np.array([address(array) for arrays in sets for array in arrays], np.uintp)
    numbers = np.array(constants, np.float64 if loop.dtype == "float64" else np.float32)
    function(len(sets), sizes.ctypes.data, pointers.ctypes.data, numbers.ctypes.data)


def assert_same_bits(ours, expected):
    assert ours.dtype == expected.dtype
    assert np.isnan(ours).tolist() == np.isnan(expected).tolist()
    bits = f"u{ours.itemsize}"
    numbers = ~np.isnan(expected)
    assert ours[numbers].view(bits).tolist() == expected[numbers].view(bits).tolist()


BY_NUMPY = {
    "add": (2, np.add),
    "sub": (2, np.subtract),
    "mul": (2, np.multiply),
    "div": (2, np.divide),
    "neg": (1, np.negative),
    "abs": (1, np.abs),
    "sqrt": (1, np.sqrt),
    "max": (2, np.maximum),
    "min": (2, np.minimum),
    "by_sign": (4, lambda x, up, down, level: np.where(x > 0, up, np.where(x < 0, down, level))),
    "float16": (1, lambda x: x.astype(np.float16).astype(np.float32)),
    "bfloat16": (1, lambda x: x.astype(ml_dtypes.bfloat16).astype(np.float32)),
}

CASES = [  # what is computed in float64 is never rounded to half of a float32
    (verb, dtype) for verb in BY_NUMPY for dtype in DTYPES if not (verb in DTYPES and dtype == "float64")
]


@pytest.mark.parametrize("size", [0, 1, 7, 16, 33, 1000])
@pytest.mark.parametrize(("verb", "dtype"), CASES)
def test_every_step_gives_numpys_bits(verb, dtype, size, seed):
    count, function = BY_NUMPY[verb]
    arrays = arrays_of(dtype, count + 1, size, seed)
    loop = Loop(dtype, count + 1, 0, (Step(verb, tuple(range(count))),), ((count, count + 1),))
    run(loop, [arrays])
    wide = [
        array if dtype in ("float32", "float64") else array.astype(np.float32) for array in arrays[:count]
    ]
    with np.errstate(all="ignore"):
        result = function(*wide)
        if verb in ("max", "min"):  # of zeros of both signs NumPy may give either
            result, arrays[count] = result + 0.0, arrays[count] + DTYPES[dtype](0)
        assert_same_bits(arrays[count], result.astype(DTYPES[dtype]))


def test_several_sets_run_in_one_call_with_constants(seed):
    loop = Loop("float32", 2, 2, (Step("mul", (0, 2)), Step("add", (4, 3))), ((1, 5),))
    sets = [arrays_of("float32", 2, size, seed + size) for size in (5, 0, 100, 16)]
    expected = [first * np.float32(0.1) + np.float32(-2.5) for first, _ in sets]
    run(loop, sets, (0.1, -2.5))
    for (_, second), wanted in zip(sets, expected, strict=True):
        assert_same_bits(second, wanted)


def test_a_result_may_replace_what_it_is_made_of(seed):
    loop = Loop("float64", 2, 0, (Step("sub", (0, 1)),), ((0, 2), (1, 2)))
    first, second = arrays_of("float64", 2, 77, seed)
    with np.errstate(all="ignore"):
        expected = first - second
    run(loop, [[first, second]])
    assert_same_bits(first, expected)
    assert_same_bits(second, expected)


def test_nothing_is_written_beyond_the_end(seed):
    loop = Loop("float32", 1, 1, (), ((0, 1),))
    for size in range(40):
        row = np.zeros(64, np.float32)
        run(loop, [[row[8 : 8 + size]]], (1.0,))
        assert row.tolist() == [0.0] * 8 + [1.0] * size + [0.0] * (56 - size)


@pytest.mark.parametrize(
    "make", [lambda a: a, lambda a: a[3:], lambda a: a.astype(ml_dtypes.bfloat16), lambda a: a[:0]]
)
def test_the_address_is_numpys(make):
    array = make(np.arange(10.0))
    assert address(array) == array.ctypes.data
    array.flags.writeable = False
    assert address(array) == array.ctypes.data


def test_without_llvmlite_there_is_no_loop_and_no_error():
    program = (
        "import sys; sys.modules['llvmlite'] = None\n"
        "from distrt.core.kernels.loops import Loop, Step, compiled\n"
        "assert compiled(Loop('float32', 1, 0, (Step('neg', (0,)),), ((0, 1),))) is None\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_threads_that_ask_at_once_keep_their_code():
    program = """
import threading
import numpy as np
from distrt.core.kernels.loops import Loop, Step, address, compiled

start = threading.Barrier(8)
wrong = []

def work(number):
    start.wait()
    for turn in range(40):
        steps = (Step("add", (0, 1)),) * (1 + (number + turn) % 5)
        run = compiled(Loop("float32", 1, 1, steps, ((0, 1 + len(steps)),)))
        row = np.full(1000, number, np.float32)
        sizes, pointers = np.array([row.size]), np.array([address(row)], np.uintp)
        constants = np.array([turn], np.float32)
        run(1, sizes.ctypes.data, pointers.ctypes.data, constants.ctypes.data)
        if not (row == number + turn).all():
            wrong.append((number, turn))

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong, wrong
"""
    for _ in range(3):
        subprocess.run([sys.executable, "-X", "faulthandler", "-c", program], check=True, timeout=60)
