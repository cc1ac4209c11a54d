"""Probability distributions under the names of ``torch.distributions``: densities, draws, divergences.

A family is a file, at PyTorch's path; what all share is in ``distribution``. Draws come from the default generator
(docs/random.md).

Source: https://docs.pytorch.org/docs/stable/distributions.html
"""

from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.distributions import constraints, transforms
from distrt.distributions.bernoulli import Bernoulli
from distrt.distributions.beta import Beta
from distrt.distributions.binomial import Binomial
from distrt.distributions.categorical import Categorical
from distrt.distributions.cauchy import Cauchy
from distrt.distributions.chi2 import Chi2
from distrt.distributions.constraint_registry import biject_to, transform_to
from distrt.distributions.continuous_bernoulli import ContinuousBernoulli
from distrt.distributions.dirichlet import Dirichlet
from distrt.distributions.distribution import Distribution
from distrt.distributions.exp_family import ExponentialFamily
from distrt.distributions.exponential import Exponential
from distrt.distributions.fishersnedecor import FisherSnedecor
from distrt.distributions.gamma import Gamma
from distrt.distributions.generalized_pareto import GeneralizedPareto
from distrt.distributions.geometric import Geometric
from distrt.distributions.gumbel import Gumbel
from distrt.distributions.half_cauchy import HalfCauchy
from distrt.distributions.half_normal import HalfNormal
from distrt.distributions.independent import Independent
from distrt.distributions.inverse_gamma import InverseGamma
from distrt.distributions.kl import kl_divergence, register_kl
from distrt.distributions.kumaraswamy import Kumaraswamy
from distrt.distributions.laplace import Laplace
from distrt.distributions.lkj_cholesky import LKJCholesky
from distrt.distributions.log_normal import LogNormal
from distrt.distributions.logistic_normal import LogisticNormal
from distrt.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from distrt.distributions.mixture_same_family import MixtureSameFamily
from distrt.distributions.multinomial import Multinomial
from distrt.distributions.multivariate_normal import MultivariateNormal
from distrt.distributions.negative_binomial import NegativeBinomial
from distrt.distributions.normal import Normal
from distrt.distributions.one_hot_categorical import OneHotCategorical, OneHotCategoricalStraightThrough
from distrt.distributions.pareto import Pareto
from distrt.distributions.poisson import Poisson
from distrt.distributions.relaxed_bernoulli import RelaxedBernoulli
from distrt.distributions.relaxed_categorical import RelaxedOneHotCategorical
from distrt.distributions.studentT import StudentT
from distrt.distributions.transformed_distribution import TransformedDistribution
from distrt.distributions.transforms import (
    AbsTransform,
    AffineTransform,
    CatTransform,
    ComposeTransform,
    CorrCholeskyTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    IndependentTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    PowerTransform,
    ReshapeTransform,
    SigmoidTransform,
    SoftmaxTransform,
    SoftplusTransform,
    StackTransform,
    StickBreakingTransform,
    TanhTransform,
    Transform,
    identity_transform,
)
from distrt.distributions.uniform import Uniform
from distrt.distributions.von_mises import VonMises
from distrt.distributions.weibull import Weibull
from distrt.distributions.wishart import Wishart

__all__ = [
    "AbsTransform",
    "AffineTransform",
    "Bernoulli",
    "Beta",
    "Binomial",
    "CatTransform",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ComposeTransform",
    "ContinuousBernoulli",
    "CorrCholeskyTransform",
    "CumulativeDistributionTransform",
    "Dirichlet",
    "Distribution",
    "ExpTransform",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "IndependentTransform",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "LowerCholeskyTransform",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "PositiveDefiniteTransform",
    "PowerTransform",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "ReshapeTransform",
    "SigmoidTransform",
    "SoftmaxTransform",
    "SoftplusTransform",
    "StackTransform",
    "StickBreakingTransform",
    "StudentT",
    "TanhTransform",
    "Transform",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "constraints",
    "identity_transform",
    "kl_divergence",
    "register_kl",
    "transform_to",
    "transforms",
]
