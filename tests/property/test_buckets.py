"""Packing parameters into buckets, for any sizes, dtypes and caps."""

from hypothesis import given
from hypothesis import strategies as st

import distrt as torch
from distrt.parallel.bucket import assign_to_buckets

parameters = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([torch.float32, torch.float64])), max_size=30
)
caps = st.lists(st.integers(1, 400), min_size=1, max_size=3)


@given(parameters, caps)
def test_packing_is_a_partition_in_order(specs, cap_bytes):
    given_ones = [torch.zeros(size, dtype=dtype) for size, dtype in specs]
    buckets = assign_to_buckets(given_ones, cap_bytes)
    packed = [id(each) for bucket in buckets for each in bucket]
    assert sorted(packed) == sorted(map(id, given_ones))
    position = {id(each): n for n, each in enumerate(given_ones)}
    for bucket in buckets:
        places = [position[id(each)] for each in bucket]
        assert bucket
        assert places == sorted(places)
        assert len({each.dtype for each in bucket}) == 1


@given(parameters, st.integers(1, 400))
def test_a_bucket_reaches_its_cap_only_with_its_last_parameter(specs, cap):
    buckets = assign_to_buckets([torch.zeros(size, dtype=dtype) for size, dtype in specs], [cap])
    for bucket in buckets:
        before_last = sum(each.numel() * each.element_size() for each in bucket[:-1])
        assert before_last < cap
