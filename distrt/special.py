"""``distrt.special``: the special functions under PyTorch's names."""

from __future__ import annotations

from distrt.core import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.core.ops import (
    digamma,
    entr,
    erf,
    erfc,
    erfcx,
    erfinv,
    exp2,
    expm1,
    i0,
    i0e,
    i1,
    i1e,
    log1p,
    log_ndtr,
    log_softmax,
    logit,
    logsumexp,
    ndtr,
    ndtri,
    polygamma,
    round,
    sinc,
    softmax,
    xlog1py,
    xlogy,
    zeta,
)
from distrt.core.ops import igamma as gammainc
from distrt.core.ops import igammac as gammaincc
from distrt.core.ops import lgamma as gammaln
from distrt.core.ops import mvlgamma as multigammaln
from distrt.core.ops import sigmoid as expit

psi = digamma

__all__ = [
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfcx",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "gammainc",
    "gammaincc",
    "gammaln",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "log1p",
    "log_ndtr",
    "log_softmax",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
    "ndtri",
    "polygamma",
    "psi",
    "round",
    "sinc",
    "softmax",
    "xlog1py",
    "xlogy",
    "zeta",
]
