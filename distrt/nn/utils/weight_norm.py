"""Weight normalisation by a hook, as it was before parametrizations. Source: https://arxiv.org/abs/1602.07868."""

from __future__ import annotations

from typing import Any, TypeVar

from distrt.core import ops
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter, UninitializedParameter

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


def norm_except_dim(weight: Tensor, dim: int) -> Tensor:
    """The norm of each slice of ``dim``, which broadcasts to ``weight``; for -1 the norm of all, a 0-d tensor."""
    others = None if dim == -1 else [n for n in range(weight.ndim) if n != dim]
    return ops.linalg_vector_norm(weight, 2, others, others is not None)  # type: ignore[no-any-return]


def scaled_direction(magnitude: Tensor, direction: Tensor, dim: int) -> Tensor:
    """``direction``, each slice of ``dim`` scaled to the norm that ``magnitude`` gives."""
    scaled: Tensor = ops.mul(direction, ops.div(magnitude, norm_except_dim(direction, dim)))
    return scaled


class WeightNorm:
    """The hook: before each forward, sets the weight to its direction times its magnitude."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Module) -> Tensor:
        """The weight of now."""
        magnitude, direction = (getattr(module, f"{self.name}_{letter}") for letter in "gv")
        return scaled_direction(magnitude, direction, self.dim)

    @staticmethod
    def apply(module: Module, name: str, dim: int | None) -> WeightNorm:
        """Replaces a parameter by its magnitude and direction.

        Raises:
            RuntimeError: where it has been done already.
        """
        warn(
            "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
        )
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        made = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. "
                "Make sure to run the dummy forward before applying weight normalization"
            )
        del module._parameters[name]
        module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight, made.dim).data))
        module.register_parameter(f"{name}_v", Parameter(weight.data))
        setattr(module, name, made.compute_weight(module))
        module.register_forward_pre_hook(made)
        return made

    def remove(self, module: Module) -> None:
        """Makes the weight of now an ordinary parameter."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        for letter in "gv":
            del module._parameters[f"{self.name}_{letter}"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Module, inputs: Any) -> None:
        """Sets the weight."""
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Trains ``weight_g``, the norm of each slice of ``dim`` (of all for None), and ``weight_v``, its direction.

    Deprecated: use :func:`distrt.nn.utils.parametrizations.weight_norm`.
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Makes the weight an ordinary parameter again.

    Raises:
        ValueError: for one that is not normalised.
    """
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
