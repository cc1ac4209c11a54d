"""The ways of choosing what to prune: at random, by size, or as a mask says."""

from __future__ import annotations

import numbers
from typing import Any

from distrt.core import ops
from distrt.core.creation import rand, rand_like, zeros_like
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.nn.utils.prune.base import BasePruningMethod


class Identity(BasePruningMethod):
    """Prunes nothing, but gives the parameter its mask."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The older mask."""
        return default_mask

    @classmethod
    def apply(cls, module: Module, name: str) -> BasePruningMethod:  # type: ignore[override]
        """Gives a parameter of a module its mask."""
        return super().apply(module, name)


class _ByAmount(BasePruningMethod):
    """Prunes a number (int) or a fraction (float) of what there is."""

    def __init__(self, amount: float) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, size: int) -> int:
        count: int = _compute_nparams_toprune(self.amount, size)
        _validate_pruning_amount(count, size)
        return count


class RandomUnstructured(_ByAmount):
    """Prunes elements at random."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The older mask, with zeros at random places."""
        return _without_the_least(rand_like(t.detach()), self._count(t.numel()), default_mask)

    @classmethod
    def apply(cls, module: Module, name: str, amount: float) -> BasePruningMethod:  # type: ignore[override]
        """Prunes a parameter of a module."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_ByAmount):
    """Prunes the elements that are the smallest by absolute value."""

    PRUNING_TYPE = "unstructured"

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The older mask, with zeros where the smallest elements are."""
        return _without_the_least(ops.abs(t.detach()), self._count(t.numel()), default_mask)

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, importance_scores: Tensor | None = None
    ) -> BasePruningMethod:
        """Prunes a parameter of a module."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


def _without_the_least(scores: Tensor, count: int, mask: Tensor) -> Tensor:
    left = mask.clone()
    if count:
        left.view(-1)[ops.topk(scores.reshape(-1), count, largest=False).indices] = 0
    return left


class _Structured(_ByAmount):
    """Prunes slices of one dim."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount: float, dim: int = -1) -> None:
        super().__init__(amount)
        self.dim = dim

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The older mask, with zeros in the slices that are pruned.

        Raises:
            ValueError: for a tensor of one dim.
            IndexError: for a dim that it does not have.
        """
        _validate_structured_pruning(t)
        _validate_pruning_dim(t, self.dim)
        size = t.shape[self.dim]
        count = self._count(size)
        if count == 0:
            return default_mask
        key: list[Any] = [slice(None)] * t.ndim
        key[self.dim] = self._kept(t, size, count)
        mask = zeros_like(t.detach())
        mask[tuple(key)] = 1
        return mask * default_mask.to(mask.dtype)

    def _kept(self, t: Tensor, size: int, count: int) -> Tensor:
        """Which slices stay, when ``count`` of them are pruned."""
        raise NotImplementedError


class RandomStructured(_Structured):
    """Prunes slices of one dim at random."""

    def _kept(self, t: Tensor, size: int, count: int) -> Tensor:
        drawn = rand(size, device=t.device)
        return drawn > ops.kthvalue(drawn, count).values  # type: ignore[no-any-return]

    @classmethod
    def apply(  # type: ignore[override]
        cls, module: Module, name: str, amount: float, dim: int = -1
    ) -> BasePruningMethod:
        """Prunes a parameter of a module."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prunes the slices of one dim with the smallest norm."""

    def __init__(self, amount: float, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _kept(self, t: Tensor, size: int, count: int) -> Tensor:
        norms = _compute_norm(t.detach(), self.n, self.dim)
        return ops.topk(norms, size - count, largest=True).indices  # type: ignore[no-any-return]

    @classmethod
    def apply(  # type: ignore[override]
        cls,
        module: Module,
        name: str,
        amount: float,
        n: Any,
        dim: int,
        importance_scores: Tensor | None = None,
    ) -> BasePruningMethod:
        """Prunes a parameter of a module; ``n`` is the order of the norm."""
        return super().apply(module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores)


class CustomFromMask(BasePruningMethod):
    """Prunes what a given mask says."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The older mask times the given one."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(default_mask.dtype)

    @classmethod
    def apply(cls, module: Module, name: str, mask: Tensor) -> BasePruningMethod:  # type: ignore[override]
        """Prunes a parameter of a module."""
        return super().apply(module, name, mask=mask)


# Amounts, tensors and dims that make sense


def _validate_pruning_amount_init(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if float(amount) < 0 or (not isinstance(amount, numbers.Integral) and float(amount) > 1):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer"
        )


def _validate_pruning_amount(amount: Any, tensor_size: int) -> None:
    if isinstance(amount, numbers.Integral) and amount > tensor_size:  # type: ignore[operator]
        raise ValueError(
            f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}"
        )


def _validate_structured_pruning(t: Tensor) -> None:
    if t.ndim <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{t.shape} with {t.ndim} dims"
        )


def _compute_nparams_toprune(amount: Any, tensor_size: int) -> Any:
    return amount if isinstance(amount, numbers.Integral) else round(amount * tensor_size)


def _validate_pruning_dim(t: Tensor, dim: int) -> None:
    if dim >= t.ndim:
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _compute_norm(t: Tensor, n: Any, dim: int) -> Tensor:
    """The norm of each slice of ``dim``."""
    others = list(range(t.ndim))
    del others[dim]
    return ops.norm(t, n, others)  # type: ignore[no-any-return]
