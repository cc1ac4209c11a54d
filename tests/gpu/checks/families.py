"""Gamma, Dirichlet, Poisson, binomial and von Mises numbers drawn on the GPU, and how they move with their parameters.

Shares, quantiles and tails of several parameters beside their distributions; seeds; gradients beside the CPU's; that
nothing goes by the host.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
from distrt import distributions as D
from distrt.core.ops.random.pathwise import dirichlet_drawn, gamma_drawn
from tests.gpu.checking import refused, run_all
from tests.gpu.checks.graphs import captured
from tests.gpu.checks.random_numbers import CUDA, MANY, copies, told

#: A draw of so many differs from its distribution by more than this in one case of 10,000 (Kolmogorov and Smirnov).
FARTHEST = 2.23 / MANY**0.5


def full(value: float, dtype: Any = torch.float64, count: int = MANY) -> Any:
    """The same parameter for many draws."""
    return torch.full((count,), float(value), device=CUDA, dtype=dtype)


def distance(drawn: Any, cumulated: Callable[[Any], Any]) -> float:
    """How far the shares below each number are from what its distribution says, at most."""
    values = np.sort(drawn.double().cpu().numpy().reshape(-1))
    even = (np.arange(values.size) + 0.5) / values.size
    return float(np.abs(cumulated(values) - even).max())


def surprise(drawn: Any, log_share: Callable[[float], float]) -> float:
    """How many standard deviations the squares of what is counted too much are above their mean."""
    values = drawn.double().cpu().numpy().astype(np.int64)
    first = int(values.min())
    counted = np.bincount(values - first)
    expected = np.array([MANY * math.exp(log_share(first + k)) for k in range(counted.size)])
    usual = expected > 8
    tail = np.array([expected[~usual].sum() + MANY - expected.sum(), counted[~usual].sum()])
    squares = ((counted[usual] - expected[usual]) ** 2 / expected[usual]).sum()
    squares += (tail[1] - tail[0]) ** 2 / max(tail[0], 1)
    return float((squares - usual.sum()) / math.sqrt(2 * usual.sum()))


def log_poisson(rate: float) -> Callable[[float], float]:
    return lambda k: k * math.log(rate) - rate - math.lgamma(k + 1)


def log_binomial(n: float, p: float) -> Callable[[float], float]:
    ways = math.lgamma(n + 1)
    return lambda k: (
        ways - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * math.log(p) + (n - k) * math.log1p(-p)
        if k <= n
        else -math.inf
    )


def around_the_circle(strength: float) -> Callable[[Any], Any]:
    """The cumulated shares of von Mises' distribution, by sums over a fine grid."""
    grid = np.linspace(-math.pi, math.pi, 200_001)
    density = np.exp(strength * (np.cos(grid) - 1))
    cumulated = np.concatenate([[0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return lambda x: np.interp(x, grid, cumulated / cumulated[-1])


def gamma() -> Iterator[str]:
    """Of shapes from 0.05 to 80, in each dtype; never 0."""
    for shape in (0.05, 0.6, 1.0, 3.5, 80.0):
        drawn = D.Gamma(full(shape), full(1)).sample()
        found = distance(
            drawn,
            lambda x, a=shape: torch.special.gammainc(
                torch.full_like(torch.tensor(x), a), torch.tensor(x)
            ).numpy(),
        )
        if not found < FARTHEST or drawn.min().item() <= 0:
            yield f"shape {shape}: {found} apart, the smallest is {drawn.min().item()}"
    for dtype in (torch.float32, torch.float64, torch.float16, torch.bfloat16):
        told(f"gamma {dtype}", _gamma(full(3.5, dtype)), 3.5, 3.5)
    if _gamma(full(1e-4, torch.float32)).min().item() <= 0:
        yield "0 is drawn, where the density is infinite"
    told("StudentT", D.StudentT(full(9, torch.float32)).sample(), 0, 9 / 7)
    told("Chi2", D.Chi2(full(3)).sample(), 3, 6)
    told("NegativeBinomial", D.NegativeBinomial(full(5), full(0.5)).sample(), 5, 10)


def _gamma(shapes: Any) -> Any:
    drawn = torch.distributions.Gamma(shapes, torch.ones_like(shapes)).sample()
    assert drawn.is_cuda and drawn.dtype == shapes.dtype
    return drawn


def dirichlet_and_beta() -> Iterator[str]:
    """Shares that add up to 1, also of concentrations whose gamma numbers would all be 0."""
    found = distance(D.Beta(full(0.5), full(0.5)).sample(), lambda x: 2 / math.pi * np.arcsin(np.sqrt(x)))
    if not found < FARTHEST:
        yield f"the arcsine law: {found} apart"
    rows = torch.tensor([0.5, 1.0, 2.5], device=CUDA)
    drawn = D.Dirichlet(rows).sample((MANY,))
    if not torch.allclose(drawn.sum(-1), torch.ones(MANY, device=CUDA)):
        yield "not all shares add up to 1"
    for part, own in enumerate((0.5, 1.0, 2.5)):
        told(f"Dirichlet, part {part}", drawn[:, part], own / 4, own * (4 - own) / (16 * 5))
    tiny = D.Dirichlet(torch.full((3,), 1e-5, device=CUDA)).sample((300,))
    if not (tiny.max(-1).values > 0.99).all() or not (tiny > 0).all():
        yield "tiny concentrations do not choose one part"


def poisson() -> Iterator[str]:
    """Rates on both sides of 10, where the way to draw changes, and large ones; 0 gives 0."""
    for rate in (0.3, 4.0, 9.9, 10.0, 60.0):
        found = surprise(torch.poisson(full(rate)), log_poisson(rate))
        if not found < 5:
            yield f"rate {rate}: {found} standard deviations"
    told("poisson of 1e5", torch.poisson(full(1e5)), 1e5, 1e5)
    told("poisson of 1e14", torch.poisson(full(1e14)) - 1e14, 0, 1e14)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        drawn = torch.poisson(full(4, dtype))
        assert drawn.is_cuda and drawn.dtype == dtype
        told(f"poisson {dtype}", drawn, 4, 4)
    if torch.poisson(full(0)).any():
        yield "something happens at rate 0"


def binomial() -> Iterator[str]:
    """On both sides of 10 that are expected, chances above 1/2, many tries; and what is certain."""
    for n, p in ((7, 0.5), (40, 0.1), (40, 0.9), (20, 0.5), (200, 0.4), (1000, 0.97)):
        found = surprise(torch.binomial(full(n), full(p)), log_binomial(n, p))
        if not found < 5:
            yield f"{n} tries with {p}: {found} standard deviations"
    told("binomial of 1e6 and 3e-6", torch.binomial(full(1e6), full(3e-6)), 3, 3)
    told("binomial of 1e12 and 0.7", torch.binomial(full(1e12), full(0.7)) - 7e11, 0, 2.1e11)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        told(f"binomial {dtype}", torch.binomial(full(12, dtype), full(0.25, dtype)), 3, 2.25)
    nan = math.nan
    cases = [
        *((0, 0.5, 0), (5, 0, 0), (5, 1, 5), (5, 1.5, 5), (5, -0.1, 0), (-1, 0.5, 0)),
        *((5, nan, nan), (nan, 0.5, nan), (2.7, 1, 2)),
    ]
    tries, chances, expected = (np.array(each, np.float64) for each in zip(*cases, strict=True))
    for place in ("cpu", CUDA):
        drawn = torch.binomial(torch.tensor(tries, device=place), torch.tensor(chances, device=place))
        if not np.array_equal(drawn.cpu().numpy(), expected, equal_nan=True):
            yield f"{place}: {drawn.tolist()}, expected {expected.tolist()}"
    many = torch.binomial(full(10, count=50).reshape(5, 10), full(0.5, count=10))  # sizes that broadcast
    assert many.shape == (5, 10)


def von_mises() -> Iterator[str]:
    """Around 0 and across the end of the circle, from nearly uniform to narrow."""
    for strength in (1e-9, 0.2, 0.999, 4.0, 300.0):
        drawn = D.VonMises(full(0), full(strength)).sample()
        found = distance(drawn, around_the_circle(strength))
        if not found < FARTHEST:
            yield f"concentration {strength}: {found} apart"
    narrow = D.VonMises(full(3.1), full(1e8)).sample()
    told("von Mises of 1e8", (narrow - 3.1) * 1e4, 0, 1)
    turned = D.VonMises(full(3, torch.float32), full(2, torch.float32)).sample()
    if (
        turned.dtype != torch.float32
        or not -math.pi <= turned.min().item() < turned.max().item() < math.pi + 1e-6
    ):
        yield f"{turned.dtype} from {turned.min().item()} to {turned.max().item()}"
    told("von Mises around 3", torch.sin(turned - 3), 0, float(torch.sin(turned - 3).double().var().item()))


def _unchecked(family: Any, *parameters: Any) -> Any:
    """A distribution that does not look at its parameters, for which the program would wait."""
    return family(*parameters, validate_args=False)


DRAWS: dict[str, Callable[[int], Any]] = {
    "gamma": lambda count: _unchecked(D.Gamma, full(0.7, count=count), full(2, count=count)).sample(),
    "Dirichlet": lambda count: _unchecked(D.Dirichlet, torch.ones(3, device=CUDA)).sample((count,)),
    "Poisson": lambda count: torch.poisson(full(30, count=count)),
    "binomial": lambda count: torch.binomial(full(100, count=count), full(0.3, count=count)),
    "von Mises": lambda count: _unchecked(D.VonMises, full(0, count=count), full(2, count=count)).sample(),
}


def numbers_follow_from_seeds() -> Iterator[str]:
    """Whatever the grid is: an element's own numbers do not depend on how many others there are."""
    for name, draw in DRAWS.items():
        drawn = []
        for count in (3000, 3000, 70):
            torch.manual_seed(5)
            drawn.append(draw(count))
        if not torch.equal(drawn[0], drawn[1]) or torch.equal(drawn[0], draw(3000)):
            yield f"{name}: not the numbers of the seed"
        if name != "Dirichlet" and not torch.equal(drawn[0][:70], drawn[2]):
            yield f"{name}: they depend on the grid"
    if torch.cuda.current_device():
        yield "another GPU is the current one"


def replays_draw_others() -> Iterator[str]:
    """Each draw in a captured graph."""
    for name, draw in DRAWS.items():
        graph, out = captured(lambda draw=draw: draw(200))
        seen = []
        for _ in range(2):
            graph.replay()
            seen.append(out.tolist())
        if seen[0] == seen[1]:
            yield name


def gradients() -> Iterator[str]:
    """Of the same numbers as on the CPU, in each dtype, where the parameters differ by orders of magnitude."""
    random = np.random.default_rng(0)
    shapes = 10 ** random.uniform(-2, 4, 300)
    rows = 10 ** random.uniform(-1, 2, (40, 4))
    cases = (
        ("gamma", gamma_drawn, shapes, random.gamma(shapes)),
        ("Dirichlet", dirichlet_drawn, rows, np.array([random.dirichlet(row) for row in rows])),
    )
    for name, drawn, parameters, values in cases:
        for dtype, limit in ((torch.float64, 1e-8), (torch.float32, 1e-5)):
            found = []
            for place in ("cpu", CUDA):
                given = torch.tensor(parameters, dtype=dtype, device=place, requires_grad=True)
                seed = torch.tensor(
                    np.cos(np.arange(values.size)).reshape(values.shape), dtype=dtype, device=place
                )
                drawn(given, torch.tensor(values, dtype=dtype, device=place)._array).backward(seed)
                found.append(given.grad.cpu().numpy())
            if not np.allclose(*found, rtol=limit, atol=limit):
                yield f"{name} {dtype}: {np.abs(found[0] - found[1]).max()} apart"
    mean = torch.tensor(3.0, device=CUDA, requires_grad=True)
    D.Gamma(mean.expand(MANY), 1.0).rsample().mean().backward()
    if not abs(mean.grad.item() - 1) < 0.05:
        yield f"the mean of gamma numbers grows by {mean.grad.item()}, expected 1"


def wrong_parameters_are_told() -> Iterator[str]:
    """As on the CPU, where the program waits next."""
    bad = torch.tensor([1.0, -1.0], device=CUDA)
    for what, run, kind in (
        ("shape < 0", lambda: _unchecked(D.Gamma, bad, bad).sample(), ValueError),
        ("invalid Poisson rate", lambda: torch.poisson(bad), RuntimeError),
        ("kappa < 0", lambda: _unchecked(D.VonMises, bad, bad).sample(), ValueError),
    ):
        yield from refused(kind, what, lambda run=run: run().cpu())
    bad.cpu()  # nothing is left
    if torch.binomial(bad + 3, torch.tensor(0.0)).any():  # a number on the CPU goes with any
        yield "something succeeds"
    yield from refused(RuntimeError, "same device", lambda: torch.binomial(bad, torch.ones(2)))


def nothing_comes_by_the_host() -> Iterator[str]:
    """On the fake, where copies are counted: draws, and their gradients."""
    for draw in DRAWS.values():
        draw(50)  # constants may go up once
    before = copies()
    for name, draw in DRAWS.items():
        draw(500)
        if copies() != before:
            yield f"{name}: {copies()}, {before} before"
    shapes = torch.full((2, 3), 2.0, device=CUDA, requires_grad=True)
    before = copies()
    _unchecked(D.Gamma, shapes, shapes).rsample().sum().backward()
    _unchecked(D.Dirichlet, shapes).rsample().square().sum().backward()
    if copies() != before:
        yield f"gradients: {copies()}, {before} before"


def the_last_gpu_draws_its_own() -> Iterator[str]:
    """While the first one is the current one."""
    place = f"cuda:{torch.cuda.device_count() - 1}"
    two = torch.full((2, 2), 2.0, device=place, requires_grad=True)
    drawn = D.Gamma(two, two).rsample() + D.Dirichlet(two).rsample() + D.VonMises(two, two).sample()
    drawn = drawn + torch.poisson(two) + torch.binomial(two, two / 4)
    drawn.sum().backward()
    if {str(drawn.device), str(two.grad.device)} != {place} or torch.cuda.current_device():
        yield f"{drawn.device}, {two.grad.device}"


CHECKS = (
    gamma,
    dirichlet_and_beta,
    poisson,
    binomial,
    von_mises,
    numbers_follow_from_seeds,
    replays_draw_others,
    gradients,
    wrong_parameters_are_told,
    nothing_comes_by_the_host,
    the_last_gpu_draws_its_own,
)


if __name__ == "__main__":
    torch.manual_seed(0)
    sys.exit(1 if run_all(CHECKS) else 0)
