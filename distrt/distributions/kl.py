"""PyTorch's path for divergences: ``kl_divergence`` and ``register_kl``, with the rules of all families."""

from distrt.distributions import kl_across, kl_within  # noqa: F401 - they register their rules
from distrt.distributions.divergence import kl_divergence, register_kl

__all__ = ["kl_divergence", "register_kl"]
