"""`Reduction`: one compiled pass gives the bits of NumPy's, whatever the results replace."""

import ml_dtypes
import numpy as np
import pytest

from distrt.comm import reduction as module
from distrt.comm.reduction import ReduceOp, Reduction, SetsOfArrays, cache_blocks
from distrt.core.kernels import loops

pytest.importorskip("llvmlite", reason="compiled reductions need the extra 'fast'")

DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.complex64, np.complex128]
SIZE = 70_001  # more than a block of each dtype, and not a multiple of any vector


def sources_of(dtype, ranks, seed):
    random = np.random.default_rng(seed)
    made = []
    for _ in range(ranks):
        values = random.standard_normal((SIZE, 2 if np.dtype(dtype).kind == "c" else 1))
        values = values * 10.0 ** random.integers(-3, 4, values.shape)
        if values.shape[1] == 2:
            made.append((values[:, 0] + 1j * values[:, 1]).astype(dtype))
        else:
            made.append(values[:, 0].astype(np.float32).astype(dtype))
    made[0][3] = np.inf
    made[-1][4] = np.nan
    return made


@pytest.fixture
def compiled_loops(monkeypatch):
    asked = []

    def compiled(loop):
        asked.append(loop)
        return loops.compiled(loop)

    monkeypatch.setattr(module, "compiled", compiled)
    return asked


@pytest.mark.parametrize("outs", ["another", "each source", "the last source and another"])
@pytest.mark.parametrize("ranks", [2, 3, 4, 7])
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: np.dtype(dtype).name)
@pytest.mark.parametrize("op", [ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT])
def test_the_bits_are_numpys(op, dtype, ranks, outs, compiled_loops, monkeypatch, seed):
    results = []
    for after in (0, float("inf")):
        monkeypatch.setattr(loops, "_COMPILE_AFTER", after)
        sources = sources_of(dtype, ranks, seed)
        targets = {
            "another": lambda s: [np.zeros_like(s[0])],
            "each source": lambda s: s,
            "the last source and another": lambda s: [s[-1], np.zeros_like(s[0])],
        }[outs](sources)
        Reduction(op, np.dtype(dtype), ranks).reduce(sources, *targets)
        results.append([target.tobytes() for target in targets])
        assert len(set(results[-1])) == 1
    is_compiled = not (op is ReduceOp.PRODUCT and np.dtype(dtype).kind == "c")
    assert len(compiled_loops) == is_compiled
    assert results[0] == results[1]


@pytest.mark.parametrize("op", [ReduceOp.MIN, ReduceOp.MAX, ReduceOp.BXOR])
def test_what_is_not_compiled_is_numpys(op, compiled_loops, monkeypatch):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    first, second = np.arange(SIZE), np.arange(SIZE)[::-1].copy()
    expected = module._COMBINE[op](first, second)
    Reduction(op, first.dtype, 2).reduce([first, second], first, second)
    assert not compiled_loops
    assert (first == expected).all() and (second == expected).all()


def test_arrays_that_do_not_fit_are_left_to_numpy(compiled_loops, monkeypatch):
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 0)
    first, out = np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32)
    reduction = Reduction(ReduceOp.SUM, first.dtype, 2)
    with pytest.raises(ValueError, match="broadcast"):
        reduction.reduce([first, np.ones(SIZE - 40_000, np.float32)], out)
    reduction.reduce([first, np.ones(2 * SIZE, np.float32)[::2]], out)
    assert not compiled_loops and (out == 2).all()


@pytest.mark.parametrize("op", [ReduceOp.AVG, ReduceOp.MAX])
@pytest.mark.parametrize("dtype", DTYPES[:4], ids=lambda dtype: np.dtype(dtype).name)
def test_sets_of_arrays_have_the_bits_of_each(op, dtype, compiled_loops, monkeypatch, seed):
    reduction = Reduction(op, np.dtype(dtype), 3)
    cuts = [slice(0, 1), slice(1, 1), slice(1, 40), slice(40, SIZE)]
    sources = sources_of(dtype, 3, seed)
    expected = np.zeros_like(sources[0])
    reduction.reduce(sources, expected)
    for after in (float("inf"), 0):
        monkeypatch.setattr(loops, "_COMPILE_AFTER", after)
        found = np.zeros_like(expected)
        sets = SetsOfArrays(reduction, [([source[cut] for source in sources], found[cut]) for cut in cuts])
        for factor in (2, 1):  # the arrays stay, their values do not
            for source in sources:
                np.multiply(source, factor, out=source)
            sets.reduce()
            for source in sources:
                np.divide(source, factor, out=source)
        assert found.tobytes() == expected.tobytes()
    assert bool(compiled_loops) == (op is ReduceOp.AVG)


def test_work_is_counted_until_compiling_pays(compiled_loops, monkeypatch):
    monkeypatch.setattr(loops._Effort, "elements", 0)
    monkeypatch.setattr(loops, "_COMPILE_AFTER", 5 * SIZE)
    first, second = np.ones(SIZE, np.float32), np.ones(SIZE, np.float32)
    reduction = Reduction(ReduceOp.SUM, first.dtype, 2)
    for _ in range(3):
        reduction.reduce([first, second], first)
    assert not compiled_loops
    reduction.reduce([first, second], first)
    assert len(compiled_loops) == 1
    assert first[0] == first[-1] == 5.0


def test_blocks_cover_everything_once():
    assert [edge for block in cache_blocks(7, 100_000, 4) for edge in block] == [
        7, 32775, 32775, 65543, 65543, 98311, 98311, 100_000
    ]  # fmt: skip
    assert cache_blocks(5, 5, 8) == []
