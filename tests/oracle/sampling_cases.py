"""Rows of the op table: draws whose outcome is certain, so that two libraries must agree on it."""

from __future__ import annotations

from tests.oracle.op_cases import FLOATS, HALVES, In, ones, row

row(
    "bernoulli",
    lambda t, a: (
        t.bernoulli(a * 0 + 1),
        (a * 0).bernoulli(),
        a.detach().bernoulli(1.0),
        t.bernoulli(a.detach(), 0.0),
    ),
    ones(),
    dtypes=HALVES,
    covers="sampled",
)
row("poisson", lambda t, a: t.poisson(a * 0), ones()[:3], covers="sampled")
row("binomial", lambda t, a: t.binomial(a * 0 + 5, a * 0 + 1).detach(), ones()[:3], smooth=False)
row(
    "multinomial",
    lambda t, a: (
        t.multinomial(t.eye(4).to(a.dtype), 1),
        a.new_tensor([0, 1, 0]).multinomial(5, True),
        t.multinomial(a.detach().abs() + 1, 4).sort(1).values,
    ),
    [In((3, 4))],
    dtypes=FLOATS,
    smooth=False,
)
row(
    "gamma_drawn",
    lambda t, a: t.distributions.Gamma(a * 0 + 2, a * 0 + 1).rsample() * 0,
    ones()[:3],
    smooth=False,
    order=1,
    covers="standard_gamma gamma_slope",
)
row(
    "dirichlet_drawn",
    lambda t, a: t.distributions.Dirichlet(a * 0 + 2).rsample(),  # one part, which is all
    [In((3, 1))],
    smooth=False,
    order=1,
    covers="sample_dirichlet dirichlet_slope",
)
