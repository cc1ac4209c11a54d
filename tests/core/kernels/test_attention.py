"""Compiled attention agrees with NumPy's in float64, forward and backward."""

import numpy as np
import pytest

from distrt.core.kernels import loops
from distrt.core.kernels.attention import call
from distrt.core.ops.nn.attention import attention

pytestmark = pytest.mark.skipif(not loops.vector_floats(), reason="no compiler, or no AVX2")

FORWARD, BACKWARD = attention.definition.forward, attention.definition.joint_rule
SCALE = 0.3

# Batch, queries, keys, numbers in a key, numbers in a value: whole panels and blocks, and one more or less.
SIZES = [
    ((2, 3), 48, 32, 16, 16),
    ((3,), 25, 17, 5, 3),
    ((), 7, 33, 8, 19),
    ((1, 2), 1, 1, 1, 1),
    ((2,), 13, 5, 33, 16),
]


@pytest.fixture(autouse=True)
def takes_small_ones(monkeypatch):
    monkeypatch.setattr(call, "_LEAST", 1)


def arrays(rng, batch, length, source, width, out_width):
    """Query, key, value, and the gradient of the result, in float64."""
    shapes = ((length, width), (source, width), (source, out_width), (length, out_width))
    return [rng.standard_normal((*batch, *shape)) for shape in shapes]


def both_ways(query, key, value, g, mask=None, is_causal=False):
    """The result and the gradients of query, key and value."""
    out, log_total = FORWARD(query, key, value, mask, is_causal, SCALE, 0.0, None)
    needs = (True, True, True, False)
    found = BACKWARD(g, query, key, value, mask, is_causal, SCALE, 0.0, None, out, log_total, needs)
    return [out, *found[:3]]


def narrow(*wide):
    return [each.astype(np.float32) for each in wide]


def require_close(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.float32 and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=3e-6 * max(1, np.abs(other).max(initial=0)))


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_results_and_gradients_are_those_of_float64(rng, sizes, is_causal):
    given = arrays(rng, *sizes)
    assert call.suits(*narrow(*given[:3])) and not call.suits(*given[:3])
    require_close(both_ways(*narrow(*given), None, is_causal), both_ways(*given, None, is_causal))


@pytest.mark.parametrize("shape", [(20, 18), (3, 20, 18), (2, 1, 1, 18), (20, 1), (1, 3, 20, 18)], ids=str)
@pytest.mark.parametrize("kind", ["bools", "numbers"])
def test_masks_are_added_to_the_scores(rng, kind, shape):
    given = arrays(rng, (2, 3), 20, 18, 8, 8)
    mask = rng.random(shape) < 0.7 if kind == "bools" else rng.standard_normal(shape)
    narrow_mask = mask if kind == "bools" else mask.astype(np.float32)
    for is_causal in (False, True):
        found = both_ways(*narrow(*given), narrow_mask, is_causal)
        require_close(found, both_ways(*given, mask, is_causal))


def test_a_query_that_sees_no_key_gives_zeros_and_has_no_gradient(rng):
    given = narrow(*arrays(rng, (2,), 9, 7, 4, 4))
    mask = np.ones((9, 7), np.bool_)
    mask[4] = False
    out, g_query, *_ = both_ways(*given, mask)
    assert not out[:, 4].any() and not g_query[:, 4].any() and np.isfinite(out).all()


def test_gradients_agree_with_differences(rng):
    given = arrays(rng, (2,), 13, 19, 6, 5)
    *inputs, g = given
    directions = [rng.standard_normal(each.shape) for each in inputs]

    def along(step):
        moved = [each + step * direction for each, direction in zip(inputs, directions, strict=True)]
        return (FORWARD(*moved, None, True, SCALE, 0.0, None)[0] * g).sum()

    difference = (along(1e-5) - along(-1e-5)) / 2e-5
    gradients = both_ways(*narrow(*given), None, True)[1:]
    found = sum((each * direction).sum() for each, direction in zip(gradients, directions, strict=True))
    assert found == pytest.approx(difference, rel=1e-4)


def test_heads_that_are_views_of_one_buffer_need_no_copies(rng):
    buffer = rng.standard_normal((2, 20, 3 * 4 * 8)).astype(np.float32)
    heads = [buffer[..., n * 32 : n * 32 + 32].reshape(2, 20, 4, 8).transpose(0, 2, 1, 3) for n in range(3)]
    g = rng.standard_normal((2, 20, 4, 8)).astype(np.float32).transpose(0, 2, 1, 3)
    plain = [np.ascontiguousarray(each) for each in (*heads, g)]
    found, expected = both_ways(*heads, g, None, True), both_ways(*plain, None, True)
    assert all(each.transpose(0, 2, 1, 3).flags.c_contiguous for each in found), "laid out as the query"
    assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_rows_in_pieces_and_backwards_are_taken(rng):
    given = narrow(*arrays(rng, (2,), 12, 18, 6, 10))
    odd = [np.repeat(each, 2, -1)[..., ::2] for each in given]
    turned = [np.ascontiguousarray(each[..., ::-1, :])[..., ::-1, :] for each in given]
    expected = both_ways(*given)
    for each in (odd, turned):
        assert all(np.array_equal(*pair) for pair in zip(both_ways(*each), expected, strict=True))


def test_the_same_call_gives_the_same_bits_wherever_its_arrays_lie(rng):
    given = narrow(*arrays(rng, (2,), 29, 31, 9, 7))
    expected = both_ways(*given, None, True)
    both_ways(*[np.full((40, 40), np.nan, np.float32)] * 4)  # leaves its numbers in the room
    for offset in range(1, 16):
        moved = []
        for each in given:
            room = np.zeros(each.size + 16, np.float32)
            room[offset : offset + each.size] = each.reshape(-1)
            moved.append(room[offset : offset + each.size].reshape(each.shape))
        found = both_ways(*moved, None, True)
        assert all(np.array_equal(*pair) for pair in zip(found, expected, strict=True))


def test_a_matrix_alone_has_the_bits_that_it_has_among_others(rng):
    given = narrow(*arrays(rng, (4,), 29, 31, 9, 7))
    together = both_ways(*given)
    alone = both_ways(*[each[2] for each in given])
    assert all(np.array_equal(one[2], other) for one, other in zip(together, alone, strict=True))


def test_numbers_that_are_none_stay_in_their_rows(rng):
    given = narrow(*arrays(rng, (1,), 12, 18, 6, 10))
    expected = both_ways(*given)[0]
    given[0][0, 5, 2], given[0][0, 8, 0] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        found = both_ways(*given)[0]
    assert np.isnan(found[0, [5, 8]]).all()
    others = [n for n in range(12) if n not in (5, 8)]
    assert np.array_equal(found[0, others], expected[0, others])


def test_large_scores_do_not_overflow(rng):
    given = arrays(rng, (2,), 12, 18, 6, 10)
    given[0] *= 1000
    require_close(
        both_ways(*narrow(*given))[:1], both_ways(*[each.astype(np.float64) for each in narrow(*given)])[:1]
    )


def test_nothing_is_written_beyond_the_room(rng, monkeypatch):
    made = []

    class Walled:
        def at(self, name, count):
            made.append(np.full(count + 64, 12345, np.float32))
            return loops.address(made[-1])

    monkeypatch.setattr(call, "_rooms", Walled())
    for sizes in SIZES:
        for mask in (None, np.zeros((sizes[1], sizes[2]), np.float32)):
            both_ways(*narrow(*arrays(rng, *sizes)), mask, True)
    assert made and all((each[-64:] == 12345).all() for each in made)


def test_half_precision_computes_in_float32(rng):
    given = [each.astype(np.float16) for each in arrays(rng, (2,), 12, 18, 6, 10)]
    found = both_ways(*given)
    expected = both_ways(*[each.astype(np.float64) for each in given])
    assert found[0].dtype == np.float16
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_numpys(rng, monkeypatch):
    query, key, value, _ = narrow(*arrays(rng, (2, 4), 12, 18, 6, 10))
    assert call.suits(query, key, value)
    assert not call.suits(query, key[:, :1], value[:, :1]), "keys for several heads"
    assert not call.suits(query[:, :, :0], key, value), "no queries"
    monkeypatch.setattr(call, "_LEAST", 1 << 23)
    assert not call.suits(query, key, value), "a small one"
