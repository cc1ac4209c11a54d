"""Formulas: the same bits compiled and in NumPy's blocks, and right to about a unit in the last place."""

import math

import numpy as np
import pytest

from distrt.core.dtypes import dtype as dt
from distrt.core.kernels import formulas, loops
from distrt.core.numerics import single

EVERYWHERE = np.concatenate(
    [
        np.linspace(-6, 6, 20001),
        np.logspace(-37, 1.5, 5001),
        -np.logspace(-37, 1.5, 5001),
        [0.0, -0.0, 1.0, -1.0, 4.0, 87.0, -87.0, 200.0, 1e30, -1e30, np.inf, -np.inf, np.nan],
    ]
).astype(np.float32)


@pytest.mark.parametrize("name", single.__all__)
def test_compiled_code_gives_the_bits_of_numpy(name, monkeypatch):
    pytest.importorskip("llvmlite", reason="compiled loops need the extra 'fast'")
    function = getattr(single, name)
    generator = np.random.default_rng(0)
    arrays = [
        generator.standard_normal(EVERYWHERE.size).astype(np.float32),
        EVERYWHERE,
        generator.random(EVERYWHERE.size),
    ]
    chosen = arrays[:1] if name.endswith("slope") else []
    chosen += [EVERYWHERE] + ([arrays[2].astype(np.float32)] if name.endswith("slope") else [])
    found = []
    for is_worth_it in (False, True):
        monkeypatch.setattr(formulas, "is_worth_compiling", lambda worth=is_worth_it: worth)
        results = function(*chosen)
        found.append([each.tobytes() for each in (results if isinstance(results, tuple) else (results,))])
    assert found[0] == found[1]


@pytest.mark.parametrize("is_worth_it", [False, True], ids=["NumPy", "compiled"])
@pytest.mark.parametrize("name", ["normal", "bent"])
def test_bfloat16_is_computed_in_float32_and_rounded_once(name, is_worth_it, monkeypatch):
    pytest.importorskip("llvmlite", reason="compiled loops need the extra 'fast'")
    monkeypatch.setattr(formulas, "is_worth_compiling", lambda: is_worth_it)
    half, chance_of, slope_of = (
        dt.bfloat16.numpy,
        getattr(single, f"{name}_chance"),
        getattr(single, f"{name}_slope"),
    )
    with np.errstate(all="ignore"):
        x, g = EVERYWHERE.astype(half), np.random.default_rng(0).standard_normal(EVERYWHERE.size).astype(half)
        found, chance = chance_of(x, dtype=half)
        wide, expected = chance_of(x.astype(np.float32))
        slope = slope_of(g, x, chance, dtype=half)
        wide_slope = slope_of(g.astype(np.float32), x.astype(np.float32), expected)
    assert chance.dtype == np.float32 and np.array_equal(chance, expected, equal_nan=True)
    for one, other in ((found, wide), (slope, wide_slope)):
        assert one.dtype == half
        assert np.array_equal(one.astype(np.float32), other.astype(half).astype(np.float32), equal_nan=True)


def test_erf_is_right_to_a_unit_and_a_half_in_the_last_place():
    numbers = EVERYWHERE[np.isfinite(EVERYWHERE)]
    expected = np.array([math.erf(each) for each in numbers.astype(np.float64)])
    unit = np.spacing(np.maximum(np.abs(expected), 1e-37).astype(np.float32))
    assert (np.abs(single.erf(numbers) - expected) / unit).max() < 1.5
    ends = single.erf(np.array([np.inf, -np.inf, np.nan, -0.0], np.float32))
    assert ends[:2].tolist() == [1, -1] and np.isnan(ends[2]) and np.signbit(ends[3])


def test_chances_and_slopes_are_those_of_float64():
    x = np.linspace(-9, 9, 10001).astype(np.float32)
    wide = x.astype(np.float64)
    normal = np.array([math.erfc(-each / math.sqrt(2)) / 2 for each in wide])
    bent = 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
    for chance_of, slope_of, expected in (
        (single.normal_chance, single.normal_slope, normal),
        (single.bent_chance, single.bent_slope, bent),
    ):
        result, chance = chance_of(x)
        np.testing.assert_allclose(chance, expected, atol=2e-7)
        np.testing.assert_allclose(result, wide * expected, atol=1e-6)
        slope = slope_of(np.ones_like(x), x, chance)
        differences = np.gradient(wide * expected, wide)
        np.testing.assert_allclose(slope, differences, atol=3e-6)


def test_shapes_strides_and_no_elements():
    x = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert single.erf(x[:, ::2]).shape == (4, 3) and single.erf(x[0, 0]).shape == ()
    assert single.erf(np.zeros((0, 3), np.float32)).shape == (0, 3)
    np.testing.assert_array_equal(single.erf(x.T), single.erf(x).T)
    with pytest.raises(TypeError, match="float32 or bfloat16 arrays of one shape"):
        single.erf(np.zeros(3))


def test_a_formula_may_use_every_operation(monkeypatch):
    @formulas.formula
    def all_of_them(x, y):
        both = formulas.greatest(-x, y) - 2.0 / (1.0 + abs(y))
        return formulas.choose(x - y, formulas.least(both, 1.0 - x), 3.0 * y), x

    x, y = np.random.default_rng(1).standard_normal((2, 1000)).astype(np.float32)
    both = np.maximum(-x, y) - 2 / (1 + abs(y))
    for is_worth_it in (False, True):
        monkeypatch.setattr(formulas, "is_worth_compiling", lambda worth=is_worth_it: worth)
        found, same = all_of_them(x, y)
        np.testing.assert_array_equal(found, np.where(x - y > 0, np.minimum(both, 1 - x), 3 * y))
        np.testing.assert_array_equal(same, x)
    assert loops.Step("abs", (1,)) in all_of_them._traced(2)[0].steps
