"""Facade: ``torch.__future__``: how ``module.to(...)`` and its kin put what they have converted into a module."""

from __future__ import annotations

from distrt.nn.modules.conversion import ways

__all__ = [
    "get_overwrite_module_params_on_conversion",
    "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion",
    "set_swap_module_params_on_conversion",
]


def set_overwrite_module_params_on_conversion(value: bool) -> None:
    """True: a module gets new parameters; False: those that it has get the converted values."""
    ways.overwrites = value


def get_overwrite_module_params_on_conversion() -> bool:
    """Whether a module gets new parameters."""
    return ways.overwrites


def set_swap_module_params_on_conversion(value: bool) -> None:
    """True: a parameter changes places with the converted one, by ``torch.utils.swap_tensors``; before all else."""
    ways.swaps = value


def get_swap_module_params_on_conversion() -> bool:
    """Whether parameters change places with the converted ones."""
    return ways.swaps
