"""Random numbers drawn on the GPU: their distributions, that they follow from seeds, and that no copy is made.

Families with parameters of their own (gamma, Poisson and so on) are in ``families.py``, which uses what is here.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import distrt as torch

CUDA = "cuda:0"
MANY = 40_000
LIMIT = 5.0  # standard errors


def told(name: str, drawn: Any, mean: float, variance: float) -> None:
    """Mean and variance are those of the distribution."""
    values = drawn.double().cpu().numpy().reshape(-1)
    error = np.sqrt(variance / values.size)
    assert abs(values.mean() - mean) < LIMIT * error, f"{name}: mean {values.mean()}, expected {mean}"
    assert abs(values.var() / variance - 1) < 0.06, f"{name}: variance {values.var()}, expected {variance}"


def uniform() -> None:
    """In [0, 1) in every dtype, and between bounds; even in its parts, neighbours independent."""
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        drawn = torch.rand(MANY, device=CUDA, dtype=dtype)
        assert drawn.is_cuda and drawn.dtype == dtype
        assert drawn.min().item() >= 0 and drawn.max().item() < 1
        told(f"rand {dtype}", drawn, 0.5 * (1 - 2.0**-8 * (dtype == torch.bfloat16)), 1 / 12)
        parts = torch.histc(drawn.float().cpu(), 20, 0, 1).numpy()
        assert ((parts - MANY / 20) ** 2 / (MANY / 20)).sum() < 60, parts
    values = torch.rand(MANY, device=CUDA).cpu().numpy()
    assert abs(np.corrcoef(values[::2], values[1::2])[0, 1]) < 0.04
    told("uniform_", torch.empty(MANY, device=CUDA).uniform_(-3, 5), 1.0, 64 / 12)
    told("rand complex", torch.rand(MANY, device=CUDA, dtype=torch.complex64).imag, 0.5, 1 / 12)


def normal() -> None:
    """By name, by method, and around tensors; the tails are there."""
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        told(f"randn {dtype}", torch.randn(MANY, device=CUDA, dtype=dtype), 0, 1)
    values = torch.randn(MANY, device=CUDA).cpu().numpy()
    for edge, share in ((1, 0.31731), (2, 0.0455), (3, 0.0027)):
        found = (np.abs(values) > edge).mean()
        assert abs(found - share) < LIMIT * np.sqrt(share / MANY), f"{found} beyond {edge}, expected {share}"
    assert abs(np.corrcoef(values[::2], values[1::2])[0, 1]) < 0.04
    told("normal_", torch.empty(MANY, device=CUDA).normal_(2, 3), 2, 9)
    mean = torch.full((MANY,), 4.0, device=CUDA)
    told("normal", torch.normal(mean, 0.5), 4, 0.25)
    told("randn_like", torch.randn_like(mean), 0, 1)


def others() -> None:
    """Exponential, Bernoulli, geometric, Cauchy, log-normal."""
    told("exponential_", torch.empty(MANY, device=CUDA).exponential_(2), 0.5, 0.25)
    assert torch.empty(MANY, device=CUDA).exponential_().min().item() > 0
    told("bernoulli_", torch.empty(MANY, device=CUDA).bernoulli_(0.3), 0.3, 0.21)
    chances = torch.full((MANY,), 0.8, device=CUDA)
    told("bernoulli", torch.bernoulli(chances), 0.8, 0.16)
    told("bernoulli_ by tensor", torch.empty(MANY, device=CUDA).bernoulli_(chances), 0.8, 0.16)
    told("geometric_", torch.empty(MANY, device=CUDA).geometric_(0.25), 4, 12)
    told("log_normal_", torch.empty(MANY, device=CUDA).log_normal_(0, 0.5).log(), 0, 0.25)
    cauchy = torch.empty(MANY, device=CUDA).cauchy_(1, 2).cpu().numpy()
    low, middle, high = np.quantile(cauchy, (0.25, 0.5, 0.75))
    assert max(abs(low + 1), abs(middle - 1), abs(high - 3)) < 0.15, (low, middle, high)
    try:
        torch.bernoulli(chances * 2)
        raise AssertionError("a probability of 1.6 is taken")
    except RuntimeError as fault:
        assert "[0, 1]" in str(fault)


def whole_numbers() -> None:
    """Between bounds, over all that there are, permutations, and classes by their weights."""
    drawn = torch.randint(-3, 4, (MANY,), device=CUDA)
    assert sorted(set(drawn.tolist())) == [-3, -2, -1, 0, 1, 2, 3]
    told("randint", drawn, 0, 4)
    told("random_", torch.empty(MANY, device=CUDA, dtype=torch.int64).random_(10), 4.5, 8.25)
    wide = torch.empty(MANY, device=CUDA, dtype=torch.int64).random_().double() / 2.0**63
    told("random_ of 63 bits", wide, 0.5, 1 / 12)
    order = torch.randperm(1000, device=CUDA)
    assert (
        order.is_cuda and sorted(order.tolist()) == list(range(1000)) and order.tolist() != list(range(1000))
    )
    weights = torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 0.0, 5.0, 5.0]], device=CUDA)
    for replacement, count in ((True, 4000), (True, 1), (False, 2), (False, 1)):
        rows = torch.multinomial(weights, count, replacement)
        assert rows.is_cuda and rows.shape == (2, count)
        assert not (rows[0] == 2).any() and (rows[1] >= 2).all()
    shares = np.bincount(torch.multinomial(weights, 4000, True)[0].cpu().numpy(), minlength=4) / 4000
    assert np.abs(shares - [0.25, 0.5, 0, 0.25]).max() < 0.04, shares


def seeds() -> None:
    """Numbers follow from the seed and the state; forks and generators of one's own keep apart."""

    def drawn(**options: Any) -> list[Any]:
        made = [torch.randn(5, device=CUDA, **options), torch.randint(99, (5,), device=CUDA, **options)]
        return [each.tolist() for each in made]

    torch.manual_seed(7)
    first = drawn()
    state = torch.cuda.get_rng_state()
    second = drawn()
    torch.cuda.set_rng_state(state)
    assert drawn() == second != first
    torch.cuda.manual_seed(7)
    assert drawn() == first
    with torch.random.fork_rng():
        drawn()
    assert drawn() == second
    own = torch.Generator(CUDA).manual_seed(7)
    assert drawn(generator=own) == first and drawn(generator=own) == second
    last = torch.cuda.device_count() - 1
    torch.manual_seed(7)
    other = torch.randn(5, device=f"cuda:{last}")
    assert other.device.index == last and other.tolist() == first[0]
    assert (other.uniform_(2, 3) >= 2).all() and other.bernoulli_(0.5).max() <= 1
    assert torch.cuda.current_device() == 0


def copies() -> tuple[int, int] | None:
    """How many bytes have gone to and from GPUs, on the fake, which counts them."""
    import cupy

    traffic = getattr(cupy.cuda, "traffic", None)
    return None if traffic is None else (traffic.to_device, traffic.to_host)


def nothing_comes_by_the_host() -> None:
    """On the fake, where copies are counted."""
    x = torch.empty(5000, device=CUDA)
    before = copies()
    torch.rand(5000, device=CUDA), torch.randn(5000, device=CUDA, dtype=torch.bfloat16)
    (
        x.uniform_(1, 2),
        x.normal_(),
        x.exponential_(),
        x.bernoulli_(0.5),
        x.cauchy_(),
        x.log_normal_(),
        x.geometric_(0.5),
    )
    torch.randint(9, (5000,), device=CUDA), torch.randperm(5000, device=CUDA), torch.rand_like(x)
    assert copies() == before, (copies(), before)


def captured() -> None:
    """A graph draws other numbers at each replay."""
    x, y = torch.zeros(100, device=CUDA), torch.zeros(100, device=CUDA)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x.uniform_(), y.normal_()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        x.uniform_(2, 3)
        y.copy_(torch.randn(100, device=CUDA) + x)
    seen = []
    for _ in range(3):
        graph.replay()
        seen.append((x.tolist(), y.tolist()))
    assert seen[0] != seen[1] != seen[2]
    assert all(2 <= each <= 3 for values, _ in seen for each in values)


CHECKS: tuple[Callable[[], None], ...] = (
    uniform,
    normal,
    others,
    whole_numbers,
    seeds,
    nothing_comes_by_the_host,
    captured,
)


def main(checks: Sequence[Callable[[], None]]) -> int:
    """Runs all; returns how many failed."""
    failed = 0
    torch.manual_seed(0)
    for check in checks:
        try:
            check()
        except Exception:
            failed += 1
            print(f"FAILED {check.__name__}\n{traceback.format_exc()}")
    print(f"{len(checks)} checks, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main(CHECKS) else 0)
