"""A seed gives PyTorch's numbers, and every draw leaves the generator where PyTorch leaves it."""

from __future__ import annotations

import io
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import distrt

KINDS = ("float32", "float64", "float16", "bfloat16")
SIZES = (1, 5, 16, 17, 100, 40_000)
WEIGHTS = [0.1, 0.4, 0.2, 0.3]

Draw = Callable[[Any], Any]  # of a module, torch or distrt


def _values(drawn: Any) -> list[Any]:
    if isinstance(drawn, list | tuple):
        return [each for part in drawn for each in _values(part)]
    return [drawn.detach().tolist() if hasattr(drawn, "detach") else drawn]


def _compare(torch: ModuleType, draw: Draw, seed: int, tolerance: float = 0.0) -> None:
    found = []
    for module in (torch, distrt):
        module.manual_seed(seed)
        found.append((_values(draw(module)), module.rand(3).tolist()))
    (expected, place), (values, own_place) = found
    assert len(values) == len(expected)
    for one, other in zip(values, expected, strict=True):
        np.testing.assert_allclose(np.array(one), np.array(other), rtol=tolerance, atol=tolerance)
    assert own_place == place


def _rounding(kind: str) -> float:
    """What a last bit may be, of numbers up to 4."""
    return {"float64": 1e-13, "float32": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}[kind]


def _places() -> dict[str, Draw]:
    """Tensors that lie in memory in other orders than rows."""
    return {
        "rows": lambda m: m.empty(6, 5),
        "permuted": lambda m: m.empty(4, 5, 6).permute(2, 0, 1),
        "channels last": lambda m: m.empty(2, 3, 4, 5).to(memory_format=m.channels_last),
        "a part": lambda m: m.empty(6, 9)[:, :5],
        "a part, transposed": lambda m: m.empty(6, 9)[:, :5].t(),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_and_normal_numbers(torch: ModuleType, kind: str, seed: int) -> None:
    for size in SIZES:
        _compare(torch, lambda m, size=size: m.rand(size, dtype=getattr(m, kind)), seed)
        _compare(torch, lambda m, size=size: m.randn(size, dtype=getattr(m, kind)), seed, _rounding(kind))
    for name, bounds in (("uniform_", (-2, 7)), ("normal_", (3, 2))):
        _compare(
            torch,
            lambda m, name=name, bounds=bounds: getattr(m.empty(50, dtype=getattr(m, kind)), name)(*bounds),
            seed,
            4 * _rounding(kind),
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("exponential_", (2.0,)),
        ("cauchy_", (1.0, 2.0)),
        ("log_normal_", (0.5, 0.5)),
        ("geometric_", (0.3,)),
        ("bernoulli_", (0.3,)),
        ("random_", ()),
        ("random_", (5,)),
        ("random_", (3, 9)),
    ],
)
def test_fillings(torch: ModuleType, kind: str, name: str, arguments: Any, seed: int) -> None:
    _compare(
        torch,
        lambda m: getattr(m.empty(60, dtype=getattr(m, kind)), name)(*arguments),
        seed,
        _rounding(kind),
    )


@pytest.mark.parametrize("kind", ["int64", "int32", "int16", "int8", "uint8", "bool"])
def test_integers(torch: ModuleType, kind: str, seed: int) -> None:
    _compare(torch, lambda m: m.empty(60, dtype=getattr(m, kind)).random_(), seed)
    _compare(torch, lambda m: m.empty(60, dtype=getattr(m, kind)).bernoulli_(0.4), seed)
    _compare(torch, lambda m: m.randint(0, 2, (7, 5), dtype=getattr(m, kind)), seed)


@pytest.mark.parametrize(
    ("low", "high"), [(0, 2), (-5, 5), (0, 2**28 - 1), (0, 2**28), (3, 2**33), (-(2**62), 2**62)]
)
def test_ranges(torch: ModuleType, low: int, high: int, seed: int) -> None:
    _compare(torch, lambda m: m.randint(low, high, (40,)), seed)


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("float32", (-3e38, 3e38)),
        ("float32", (0, 1e39)),
        ("float16", (0, 7e4)),
        ("float64", (float("-inf"), 0)),
        ("float32", (0, float("nan"))),
    ],
)
def test_ranges_beyond_the_dtype_are_refused(torch: ModuleType, kind: str, bounds: Any) -> None:
    for module in (torch, distrt):
        with pytest.raises(RuntimeError, match=r"is out of bounds for|expects to-from <="):
            module.empty(3, dtype=getattr(module, kind)).uniform_(*bounds)


@pytest.mark.parametrize("least", [-(2**63), 1 - 2**63, -1])
def test_ranges_up_to_the_largest_integer(torch: ModuleType, least: int, seed: int) -> None:
    _compare(torch, lambda m: m.empty(40, dtype=m.int64).random_(least, None), seed)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 1000, 200_000])
def test_permutations(torch: ModuleType, count: int, seed: int) -> None:
    _compare(torch, lambda m: m.randperm(count), seed)


@pytest.mark.parametrize("place", _places())
def test_numbers_follow_the_order_of_memory(torch: ModuleType, place: str, seed: int) -> None:
    make = _places()[place]
    for name, arguments in (
        ("uniform_", ()),
        ("normal_", (1, 2)),
        ("random_", (9,)),
        ("bernoulli_", (0.3,)),
        ("exponential_", ()),
    ):
        _compare(torch, lambda m, name=name, given=arguments: getattr(make(m), name)(*given), seed, 2e-6)
    for name in ("rand_like", "randn_like"):
        _compare(torch, lambda m, name=name: getattr(m, name)(make(m)), seed, 1e-6)
    _compare(torch, lambda m: m.nn.functional.dropout(make(m).fill_(1.0), 0.3), seed, 1e-6)
    _compare(torch, lambda m: m.bernoulli(make(m).fill_(0.4)), seed)
    _compare(torch, lambda m: m.bernoulli(make(m).fill_(0.4), 0.7), seed)
    chances = lambda m: m.arange(make(m).numel()).div(make(m).numel()).view(make(m).shape)
    _compare(torch, lambda m: make(m).bernoulli_(chances(m)), seed)


def _attended(m: Any, **options: Any) -> Any:
    query = m.arange(1 * 2 * 300 * 4.0).view(1, 2, 300, 4).sin()
    attend = m.nn.functional.scaled_dot_product_attention
    return attend(query, query.cos(), query.flip(0), dropout_p=0.3, **options)


def _layer(name: str, *sizes: int, **options: Any) -> Draw:
    def run(m: Any) -> Any:
        layer = getattr(m.nn, name)(*sizes, **options)
        input = m.arange(2 * 5 * 8.0).view(2, 5, 8).sin()
        out = layer(input, input, input) if name == "MultiheadAttention" else layer(input)
        return [*layer.parameters(), out if isinstance(out, m.Tensor) else out[0]]

    return run


#: What draws, and how far it may be off.
LAYERS: dict[str, Draw] = {
    "dropout": lambda m: m.nn.functional.dropout(m.ones(20, 30), 0.2),
    "dropout of channels": lambda m: m.nn.functional.dropout2d(m.ones(4, 6, 3, 3), 0.2),
    "alpha dropout": lambda m: m.nn.functional.alpha_dropout(m.ones(20, 3), 0.2, True),
    "rrelu": lambda m: m.nn.functional.rrelu(m.linspace(-3, 3, 40), 0.1, 0.3, True),
    "gumbel": lambda m: m.nn.functional.gumbel_softmax(m.arange(12.0).view(3, 4), tau=0.7),
    "fractional pooling": lambda m: m.nn.functional.fractional_max_pool2d(
        m.arange(100.0).view(1, 1, 10, 10), 3, output_size=4
    ),
    "attention": _attended,
    "causal attention": lambda m: _attended(m, is_causal=True),
    "encoder": _layer("TransformerEncoderLayer", 8, 2, 16, dropout=0.2),
    "encoder, batch first": _layer("TransformerEncoderLayer", 8, 2, 16, dropout=0.2, batch_first=True),
    "heads": _layer("MultiheadAttention", 8, 2, dropout=0.3),
    "lstm": _layer("LSTM", 8, 6, 3, dropout=0.4, bidirectional=True),
    "gru": _layer("GRU", 8, 6, 2, dropout=0.4, batch_first=True),
    "bilinear": lambda m: list(m.nn.Bilinear(3, 4, 5).parameters()),
    "convolution": lambda m: list(m.nn.Conv2d(3, 8, 3).parameters()),
    "embedding": lambda m: list(m.nn.Embedding(10, 6, padding_idx=2).parameters()),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(torch: ModuleType, name: str, seed: int) -> None:
    _compare(torch, LAYERS[name], seed, 1e-4)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("xavier_normal_", ()),
        ("kaiming_uniform_", ()),
        ("orthogonal_", ()),
        ("trunc_normal_", ()),
        ("trunc_normal_", (0.0, 1.0, 1.0, 3.0)),
        ("trunc_normal_", (0.0, 1.0, -0.1, 0.1)),
        ("sparse_", (0.4,)),
    ],
)
def test_initial_values(torch: ModuleType, name: str, arguments: Any, seed: int) -> None:
    _compare(torch, lambda m: getattr(m.nn.init, name)(m.empty(12, 7), *arguments), seed, 1e-5)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize(("count", "again"), [(1, True), (1, False), (3, False), (40, True)])
def test_multinomial(torch: ModuleType, kind: str, count: int, again: bool, seed: int) -> None:
    rows = [WEIGHTS, WEIGHTS[::-1]]
    _compare(torch, lambda m: m.multinomial(m.tensor(rows, dtype=getattr(m, kind)), count, again), seed)


def _orders(own_generator: bool) -> dict[str, Draw]:
    """Each gives two passes."""

    def given(m: Any) -> Any:
        return m.Generator().manual_seed(7) if own_generator else None

    def twice(sampler: Any) -> list[Any]:
        return [list(sampler), list(sampler)]

    def loaded(m: Any) -> list[Any]:
        loader = m.utils.data.DataLoader(list(range(10)), 3, shuffle=True, generator=given(m))
        return [[*loader], [*loader]]

    def split(m: Any) -> list[Any]:
        options = {"generator": given(m)} if own_generator else {}
        return [list(part) for part in m.utils.data.random_split(range(10), [3, 7], **options)]

    return {
        "random": lambda m: twice(m.utils.data.RandomSampler(range(10), generator=given(m))),
        "again": lambda m: twice(m.utils.data.RandomSampler(range(10), True, 70, given(m))),
        "more": lambda m: twice(m.utils.data.RandomSampler(range(10), False, 25, given(m))),
        "subset": lambda m: twice(m.utils.data.SubsetRandomSampler(range(3, 10), given(m))),
        "weighted": lambda m: twice(m.utils.data.WeightedRandomSampler([*WEIGHTS, 0.5], 9, True, given(m))),
        "distinct": lambda m: twice(m.utils.data.WeightedRandomSampler([*WEIGHTS, 0.5], 3, False, given(m))),
        "distributed": lambda m: twice(m.utils.data.DistributedSampler(range(11), 3, 1, seed=5)),
        "loader": loaded,
        "split": split,
    }


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("name", _orders(False))
def test_orders_of_samples(torch: ModuleType, name: str, own_generator: bool, seed: int) -> None:
    _compare(torch, _orders(own_generator)[name], seed)


def test_a_state_goes_from_either_to_the_other(torch: ModuleType, seed: int) -> None:
    for first, second in ((torch, distrt), (distrt, torch)):
        first.manual_seed(seed)
        first.randn(5), first.rand(700)
        second.set_rng_state(second.tensor(first.get_rng_state().tolist(), dtype=second.uint8))
        expected = first.randn(4).tolist(), first.rand(1000).tolist()
        np.testing.assert_allclose(second.randn(4).tolist(), expected[0], rtol=1e-6)
        assert second.rand(1000).tolist() == expected[1]
        assert first.initial_seed() == second.initial_seed()


def test_a_saved_generator_goes_on_in_the_other_library(torch: ModuleType, seed: int) -> None:
    for first, second in ((torch, distrt), (distrt, torch)):
        saved = io.BytesIO()
        generator = first.Generator().manual_seed(seed)
        first.randn(3, generator=generator)
        first.save({"generator": generator}, saved)
        saved.seek(0)
        loaded = second.load(saved, weights_only=False)["generator"]
        assert second.rand(5, generator=loaded).tolist() == first.rand(5, generator=generator).tolist()
        assert loaded.initial_seed() == seed


def test_without_a_seed_the_numbers_are_those_of_the_default_one(torch: ModuleType) -> None:
    own, theirs = distrt.Generator(), torch.Generator()
    assert own.initial_seed() == theirs.initial_seed()
    assert distrt.rand(5, generator=own).tolist() == torch.rand(5, generator=theirs).tolist()


def test_binomial_counts_that_are_certain(torch: ModuleType) -> None:
    """Of no tries, of chances outside 0 to 1, and of none at all."""
    for m in (distrt, torch):
        tries, chances = m.tensor([-1.0, 0, 5, 5, 5, 5]), m.tensor([0.5, 0.5, -0.1, 0, 1, 1.5])
        assert m.binomial(tries, chances).tolist() == [0, 0, 0, 0, 5, 5]
        assert m.isnan(m.binomial(m.tensor([5.0]), m.tensor([m.nan]))).all()


@pytest.mark.ci
def test_a_short_training_prints_the_same_losses(torch: ModuleType, seed: int) -> None:
    def train(m: Any) -> list[Any]:
        model = m.nn.Sequential(m.nn.Linear(6, 20), m.nn.ReLU(), m.nn.Dropout(0.3), m.nn.Linear(20, 3))
        data = m.utils.data.TensorDataset(m.randn(64, 6), m.randint(3, (64,)))
        optimizer = m.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        losses = []
        for _ in range(3):
            for inputs, targets in m.utils.data.DataLoader(data, 16, shuffle=True):
                loss = m.nn.functional.cross_entropy(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
        return losses

    _compare(torch, train, seed, 1e-4)
