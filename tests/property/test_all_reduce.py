"""What holds for every all-reduce, whatever the sizes, the ranks and the buckets."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from distrt.comm.local import run_local
from distrt.comm.process_group import ReduceOp
from distrt.comm.reduction import Reduction

ranks = st.integers(1, 7)
counts = st.integers(0, 300)
seeds = st.integers(0, 2**32 - 1)
floats = st.sampled_from(["float16", "float32", "float64", "complex64"])
orderless = st.sampled_from([ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT])


def inputs(size, count, seed, dtype="float32"):
    pairs = [np.random.default_rng((seed, rank)).standard_normal((2, count)) for rank in range(size)]
    if dtype == "complex64":
        return [(real + 1j * imaginary).astype(dtype) for real, imaginary in pairs]
    return [real.astype(dtype) for real, _ in pairs]


def all_reduced(arrays, op=ReduceOp.SUM):
    def run(group):
        mine = arrays[group.rank()].copy()
        group.all_reduce(mine, op)
        return mine

    return run_local(run, len(arrays))


@given(ranks, counts, seeds, floats, orderless)
def test_all_ranks_get_the_same_bits(size, count, seed, dtype, op):
    results = all_reduced(inputs(size, count, seed, dtype), op)
    assert len({result.tobytes() for result in results}) == 1


@given(st.integers(2, 7), counts, seeds, floats, orderless, st.lists(st.integers(0, 300), max_size=5))
def test_cutting_into_buckets_does_not_change_a_bit(size, count, seed, dtype, op, cuts):
    arrays = inputs(size, count, seed, dtype)
    whole = all_reduced(arrays, op)[0]
    bounds = sorted({0, count, *(min(cut, count) for cut in cuts)})
    pieces = [
        all_reduced([array[low:high] for array in arrays], op)[0] for low, high in itertools.pairwise(bounds)
    ]
    assert np.concatenate([whole[:0], *pieces]).tobytes() == whole.tobytes()


@settings(max_examples=20)
@given(counts, seeds)
def test_five_ranks_are_summed_in_one_fixed_tree(count, seed):
    a, b, c, d, e = arrays = inputs(5, count, seed)
    assert all_reduced(arrays)[0].tobytes() == (((a + b) + (c + d)) + e).tobytes()


@settings(max_examples=20)
@given(counts, seeds)
def test_half_precision_is_rounded_once(count, seed):
    arrays = inputs(4, count, seed, "float16")
    a, b, c, d = (array.astype(np.float32) for array in arrays)
    assert all_reduced(arrays)[0].tobytes() == ((a + b) + (c + d)).astype(np.float16).tobytes()


@given(ranks, st.integers(0, 64), seeds)
def test_the_result_may_replace_any_of_the_sources(size, count, seed):
    reduction = Reduction(ReduceOp.SUM, np.dtype(np.float32), size)
    expected = np.empty(count, np.float32)
    reduction.reduce(inputs(size, count, seed), expected)
    for replaced in range(size):
        sources = inputs(size, count, seed)
        reduction.reduce(sources, sources[replaced])
        assert sources[replaced].tobytes() == expected.tobytes()


@given(ranks, st.integers(0, 40), seeds)
def test_reduce_scatter_then_all_gather_is_all_reduce(size, count, seed):
    arrays = inputs(size, size * count, seed)

    def run(group):
        part = np.empty(count, np.float32)
        group.reduce_scatter(part, arrays[group.rank()].reshape(size, count))
        whole = np.empty((size, count), np.float32)
        group.all_gather(whole, part)
        return whole.reshape(-1)

    for result, expected in zip(run_local(run, size), all_reduced(arrays), strict=True):
        assert result.tobytes() == expected.tobytes()


@given(ranks, floats, orderless)
def test_infinities_and_overflow_are_values_and_no_warnings(size, dtype, op):
    largest = np.finfo(dtype).max
    arrays = [np.array([np.inf * (-1) ** rank, largest, np.nan, 1], dtype) for rank in range(size)]
    assert all_reduced(arrays, op)[0][3] in (1, size)


def test_a_complex_product_is_the_same_for_single_elements_that_replace_a_source():
    first, second = inputs(2, 500, 0, "complex64")
    reduction = Reduction(ReduceOp.PRODUCT, first.dtype, 2)
    whole = np.empty_like(first)
    reduction.reduce([first, second], whole)
    for i in range(first.size):
        one = first[i : i + 1]
        reduction.reduce([one, second[i : i + 1]], one)
    assert first.tobytes() == whole.tobytes()
