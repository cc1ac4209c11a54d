"""Random numbers: distributions by their moments, generators and their states, one stream for each thread."""

from __future__ import annotations

import copy
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import distrt
from distrt.core.random.generator import Generator

COUNT = 40_000

#: What is drawn, its mean and its standard deviation.
MOMENTS: dict[str, tuple[Callable[[Generator], Any], float, float]] = {
    "rand": (lambda g: distrt.rand(COUNT, generator=g), 0.5, math.sqrt(1 / 12)),
    "rand in half": (
        lambda g: distrt.rand(COUNT, generator=g, dtype=distrt.float16),
        0.5,
        math.sqrt(1 / 12),
    ),
    "randn": (lambda g: distrt.randn(COUNT, generator=g), 0.0, 1.0),
    "randint": (lambda g: distrt.randint(2, 8, (COUNT,), generator=g), 4.5, math.sqrt(35 / 12)),
    "normal": (lambda g: distrt.normal(3.0, 2.0, (COUNT,), generator=g), 3.0, 2.0),
    "normal of tensors": (
        lambda g: distrt.normal(distrt.full((COUNT,), 3.0), distrt.full((COUNT,), 0.5), generator=g),
        3.0,
        0.5,
    ),
    "bernoulli": (lambda g: distrt.bernoulli(distrt.full((COUNT,), 0.3), generator=g), 0.3, math.sqrt(0.21)),
    "poisson": (lambda g: distrt.poisson(distrt.full((COUNT,), 4.0), g), 4.0, 2.0),
    "binomial": (
        lambda g: distrt.binomial(distrt.full((COUNT,), 10.0), distrt.full((COUNT,), 0.5), g),
        5.0,
        math.sqrt(2.5),
    ),
    "uniform_": (
        lambda g: distrt.empty(COUNT).uniform_(-1, 3, generator=g),
        1.0,
        4 / math.sqrt(12),
    ),
    "normal_": (lambda g: distrt.empty(COUNT).normal_(1, 3, generator=g), 1.0, 3.0),
    "random_": (
        lambda g: distrt.empty(COUNT, dtype=distrt.int8).random_(0, 10, generator=g),
        4.5,
        math.sqrt(99 / 12),
    ),
    "bernoulli_": (lambda g: distrt.empty(COUNT).bernoulli_(0.7, generator=g), 0.7, math.sqrt(0.21)),
    "exponential_": (lambda g: distrt.empty(COUNT).exponential_(2, generator=g), 0.5, 0.5),
    "log_normal_": (
        lambda g: distrt.empty(COUNT).log_normal_(0, 0.5, generator=g),
        math.exp(0.125),
        math.exp(0.125) * math.sqrt(math.exp(0.25) - 1),
    ),
    "geometric_": (lambda g: distrt.empty(COUNT).geometric_(0.25, generator=g), 4.0, math.sqrt(12)),
    "multinomial": (
        lambda g: distrt.multinomial(distrt.tensor([1.0, 2.0, 1.0]), COUNT, True, generator=g),
        1.0,
        math.sqrt(0.5),
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_draws_have_the_moments_of_their_distribution(name: str, seed: int) -> None:
    draw, mean, deviation = MOMENTS[name]
    values = draw(Generator().manual_seed(seed)).double().numpy()
    assert abs(values.mean() - mean) < 6 * deviation / math.sqrt(COUNT)
    assert abs(values.std() / deviation - 1) < 0.06


def test_cauchy_has_its_quartiles(seed: int) -> None:
    values = distrt.empty(COUNT).cauchy_(2, 3, generator=Generator().manual_seed(seed)).numpy()
    np.testing.assert_allclose(np.quantile(values, [0.25, 0.5, 0.75]), [-1, 2, 5], atol=0.4)


@pytest.mark.parametrize("dtype", [distrt.float16, distrt.bfloat16, distrt.float32, distrt.float64])
def test_uniform_numbers_are_below_1_in_every_dtype(dtype: Any, seed: int) -> None:
    drawn = distrt.rand(COUNT, dtype=dtype, generator=Generator().manual_seed(seed)).double().numpy()
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_random_without_bounds_stays_within_what_the_dtype_holds(seed: int) -> None:
    generator = Generator().manual_seed(seed)
    for dtype, most in ((distrt.uint8, 255), (distrt.int8, 127), (distrt.bool, 1), (distrt.float16, 2048)):
        drawn = distrt.empty(COUNT, dtype=dtype).random_(generator=generator).double()
        assert drawn.min() >= 0
        assert most * 0.9 <= drawn.max() <= most


def test_multinomial_without_replacement_is_distinct_and_prefers_heavy_weights(seed: int) -> None:
    generator = Generator().manual_seed(seed)
    weights = distrt.tensor([0.0, 1.0, 10.0, 100.0, 0.0]).repeat(500, 1)
    drawn = distrt.multinomial(weights, 3, generator=generator).numpy()
    assert (np.sort(drawn, 1) == [1, 2, 3]).all()
    assert (drawn[:, 0] == 3).mean() > 0.8


def test_multinomial_draws_in_proportion(seed: int) -> None:
    weights = distrt.tensor([[1.0, 0.0, 3.0], [2.0, 2.0, 0.0]])
    drawn = distrt.multinomial(weights, COUNT, True, generator=Generator().manual_seed(seed)).numpy()
    np.testing.assert_allclose(np.bincount(drawn[0], minlength=3) / COUNT, [0.25, 0, 0.75], atol=0.02)
    np.testing.assert_allclose(np.bincount(drawn[1], minlength=3) / COUNT, [0.5, 0.5, 0], atol=0.02)


def test_randperm_is_a_permutation(seed: int) -> None:
    drawn = distrt.randperm(100, generator=Generator().manual_seed(seed)).numpy()
    assert sorted(drawn) == list(range(100))
    assert (drawn != np.arange(100)).any()


# Generators


def test_a_seed_repeats_the_numbers(seed: int) -> None:
    a, b = (distrt.rand(5, generator=Generator().manual_seed(seed)) for _ in range(2))
    assert (a == b).all()
    assert (a != distrt.rand(5, generator=Generator().manual_seed(seed + 1))).any()


def test_a_state_is_a_byte_tensor_that_goes_back(seed: int) -> None:
    generator = Generator().manual_seed(seed)
    distrt.randint(10, (3,), generator=generator)
    state, expected = generator.get_state(), distrt.rand(7, generator=generator)
    assert state.dtype is distrt.uint8
    other = Generator().set_state(state)
    assert other.initial_seed() == generator.initial_seed()
    assert (distrt.rand(7, generator=other) == expected).all()
    assert (distrt.rand(7, generator=generator.set_state(state)) == expected).all()


def test_clones_and_pickles_stand_where_the_original_stands() -> None:
    generator = Generator().manual_seed(3)
    distrt.rand(3, generator=generator)
    twins = [generator.clone_state(), pickle.loads(pickle.dumps(generator)), copy.deepcopy(generator)]
    expected = distrt.rand(4, generator=generator)
    for twin in twins:
        assert (distrt.rand(4, generator=twin) == expected).all()


def test_streams_of_a_seed_differ_and_repeat() -> None:
    root = Generator().manual_seed(5)
    first, again, second = (distrt.rand(4, generator=root.stream(n)) for n in (1, 1, 2))
    assert (first == again).all()
    assert (first != second).any()
    assert (distrt.rand(4, generator=root) == distrt.rand(4, generator=root.stream(0))).all()


def test_fork_rng_leaves_the_default_generator_as_it_was() -> None:
    distrt.manual_seed(7)
    expected = distrt.rand(3)
    distrt.manual_seed(7)
    with distrt.random.fork_rng():
        distrt.manual_seed(8)
        distrt.rand(100)
    assert (distrt.rand(3) == expected).all()


def test_the_default_generator_follows_its_seed_and_state() -> None:
    distrt.manual_seed(11)
    state = distrt.get_rng_state()
    first = distrt.randn(3)
    distrt.set_rng_state(state)
    assert (distrt.randn(3) == first).all()
    assert distrt.initial_seed() == distrt.default_generator.initial_seed() == 11
    assert distrt.seed() == distrt.initial_seed()


def test_each_thread_has_a_default_stream_of_its_own() -> None:
    distrt.manual_seed(1)
    found: list[Any] = []

    def draw() -> None:
        distrt.manual_seed(2)
        found.append(distrt.rand(3))

    thread = threading.Thread(target=draw)
    thread.start()
    thread.join()
    assert distrt.initial_seed() == 1
    distrt.manual_seed(2)
    assert (distrt.rand(3) == found[0]).all()


def test_drawn_over_values_have_no_gradient() -> None:
    leaf = distrt.ones(3, requires_grad=True)
    drawn = (leaf * 2).normal_() * leaf
    (gradient,) = distrt.autograd.grad(drawn.sum(), leaf)
    assert (gradient == drawn.detach()).all()
