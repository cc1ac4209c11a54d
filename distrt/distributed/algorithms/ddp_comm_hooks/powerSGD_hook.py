"""Facade: PowerSGD, at the path that PyTorch users type."""

from distrt.parallel.hooks.batched_power_sgd import batched_powerSGD_hook
from distrt.parallel.hooks.orthogonal import orthogonalize as _orthogonalize  # noqa: F401 - PyTorch has it here
from distrt.parallel.hooks.power_sgd import powerSGD_hook
from distrt.parallel.hooks.power_sgd_state import PowerSGDState

__all__ = ["PowerSGDState", "batched_powerSGD_hook", "powerSGD_hook"]
