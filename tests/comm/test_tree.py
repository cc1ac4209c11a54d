"""A sum in two halves has the bits of the sum in one, wherever the ranks are."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distrt.comm.reduction import ReduceOp, Reduction
from distrt.comm.tree import Placement, TreeReduction
from tests.conformance.cases import COMPLEX, FLOATS, INTEGERS, has_meaning, numpy_dtype, values

placements = st.lists(st.integers(0, 3), min_size=1, max_size=11)
dtypes = st.sampled_from(["float32", "float64", "float16", "bfloat16", "complex64", "int8", "bool"])


@given(
    placements, dtypes, st.sampled_from([ReduceOp.SUM, ReduceOp.AVG, ReduceOp.PRODUCT]), st.integers(0, 2**32)
)
def test_any_placement_gives_the_bits_of_one_machine(machines, name, op, seed):
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    if op is ReduceOp.AVG and dtype.kind in "biu":
        op = ReduceOp.SUM
    rng = np.random.default_rng(seed)
    arrays = [(rng.standard_normal(17) * 3).astype(dtype) for _ in machines]
    reduction = Reduction(op, dtype, len(machines))
    expected = np.empty(17, dtype)
    reduction.reduce([array.copy() for array in arrays], expected)
    if len(machines) == 1:
        return  # a world of one has no reduction to split
    placement = Placement(machines)
    tree = TreeReduction(reduction, dtype, placement)
    terms = []
    for machine, members in enumerate(placement.members):
        out = np.empty((len(placement.terms[machine]), 17), tree.wire)
        tree.partials(machine, [arrays[rank] for rank in members], out)
        terms += list(out)
    result = np.empty(17, dtype)
    tree.total(terms, result)
    assert result.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("machines", "terms"),
    [
        ("aabb", [1, 1]),
        ("aaaabbbb", [1, 1]),
        ("aaaaaabbbbbb", [2, 2]),
        ("abab", [2, 2]),
        ("aaabb", [2, 2]),
        ("aabbc", [1, 1, 1]),
    ],
)
def test_equal_blocks_of_a_power_of_two_send_one_array_each(machines, terms):
    assert [len(each) for each in Placement(machines).terms] == terms


def test_half_precision_travels_as_it_is_where_nothing_was_added_up():
    reduction = Reduction(ReduceOp.SUM, np.dtype(np.float16), 2)
    assert TreeReduction(reduction, np.dtype(np.float16), Placement("ab")).wire == np.float16
    reduction = Reduction(ReduceOp.SUM, np.dtype(np.float16), 4)
    assert TreeReduction(reduction, np.dtype(np.float16), Placement("aabb")).wire == np.float32


@pytest.mark.parametrize(
    ("op", "name"),
    [(op, name) for op in ReduceOp for name in (*INTEGERS, *FLOATS, *COMPLEX) if has_meaning(op, name)],
)
@pytest.mark.parametrize("taker", [None, 0, 3, 4])
def test_ranks_apart_have_the_bits_of_one_machine_also_where_the_result_replaces_a_term(op, name, taker):
    dtype = numpy_dtype(name)
    rows = [values(dtype, (33,), seed) for seed in range(5)]
    reduction = Reduction(op, dtype, 5)
    expected, found = np.empty_like(rows[0]), np.empty_like(rows[0])
    with np.errstate(all="ignore"):
        reduction.reduce(rows, expected)
        result = found if taker is None else rows[taker]
        TreeReduction(reduction, dtype, Placement(range(5))).total(rows, result)
    assert result.tobytes() == expected.tobytes()
