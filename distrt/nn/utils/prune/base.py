"""The protocol of pruning methods, and several of them on one parameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

from distrt.core.creation import ones_like
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module


class BasePruningMethod(ABC):
    """A way of choosing what to prune: subclasses write ``compute_mask`` and say their ``PRUNING_TYPE``.

    That is "unstructured" (chooses among elements), "structured" (among the slices of ``self.dim``) or "global" (the
    mask is given as a whole). It decides what a further pruning of the same tensor chooses from.
    """

    PRUNING_TYPE: ClassVar[str]

    _tensor_name: str

    def __call__(self, module: Module, inputs: Any) -> None:
        """Sets the tensor to the original times the mask: this is the hook before forward."""
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask for a tensor with these scores of importance, on top of an older mask."""

    def apply_mask(self, module: Module) -> Tensor:
        """The original times the mask."""
        original = getattr(module, f"{self._tensor_name}_orig")
        mask: Tensor = getattr(module, f"{self._tensor_name}_mask")
        return mask.to(original.dtype) * original  # type: ignore[no-any-return]

    @classmethod
    def apply(
        cls,
        module: Module,
        name: str,
        *args: Any,
        importance_scores: Tensor | None = None,
        **kwargs: Any,
    ) -> BasePruningMethod:
        """Prunes a parameter of a module, on top of what pruned it before.

        Args:
            module: whose parameter it is.
            name: its name.
            args: what the method is made with.
            importance_scores: what the mask is computed from; by default the parameter itself.
            kwargs: what the method is made with.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        container = _container_with(module, name, method)
        now = getattr(module, name)
        scores = now if importance_scores is None else importance_scores
        if scores.shape != now.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, got {scores.shape} vs "
                f"{now.shape}"
            )
        chosen = method if container is None else container
        if container is None:
            module.register_parameter(f"{name}_orig", now)
            del module._parameters[name]
            older = ones_like(now.detach())
        else:
            older = getattr(module, f"{name}_mask").detach().clone()
        try:
            module.register_buffer(f"{name}_mask", chosen.compute_mask(scores, default_mask=older))
            setattr(module, name, chosen.apply_mask(module))
            module.register_forward_pre_hook(chosen)
        except Exception:
            if container is None:
                original = module._parameters.pop(f"{name}_orig")
                module.register_parameter(name, original)
            raise
        return chosen

    def prune(
        self, t: Tensor, default_mask: Tensor | None = None, importance_scores: Tensor | None = None
    ) -> Tensor:
        """The tensor times its mask, without a module."""
        scores = t if importance_scores is None else importance_scores
        if scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as tensor t, got {scores.shape} vs {t.shape}"
            )
        older = ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default_mask=older)

    def remove(self, module: Module) -> None:
        """Makes the product of now an ordinary parameter; what was pruned stays so."""
        name = self._tensor_name
        product = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original: Any = module._parameters.pop(f"{name}_orig")
        original.data = product.data
        del module._buffers[f"{name}_mask"]
        setattr(module, name, original)


def _container_with(module: Module, name: str, method: BasePruningMethod) -> PruningContainer | None:
    """The methods that prune this parameter already, with a further one; None where there are none."""
    found = [
        (number, hook)
        for number, hook in module._forward_pre_hooks.items()
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
    ]
    if len(found) > 1:
        raise AssertionError(
            f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. Use a PruningContainer."
        )
    if not found:
        return None
    ((number, older),) = found
    del module._forward_pre_hooks[number]
    container = older if isinstance(older, PruningContainer) else PruningContainer(older)
    container.add_pruning_method(method)
    return container


class PruningContainer(BasePruningMethod):
    """Several methods that prune the same parameter, one after the other."""

    def __init__(self, *args: BasePruningMethod) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method: BasePruningMethod | None) -> None:
        """Adds a further method, which must prune the same parameter."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and self._tensor_name != method._tensor_name:
            raise ValueError(
                f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to PruningContainer "
                f"{self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Iterator[BasePruningMethod]:
        return iter(self._pruning_methods)

    def __getitem__(self, idx: int) -> BasePruningMethod:
        return self._pruning_methods[idx]  # type: ignore[no-any-return]

    def compute_mask(self, t: Tensor, default_mask: Tensor) -> Tensor:
        """The mask of the last method, which chooses from what the older mask has left."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype, copy=True)
        left = _left_to_prune(method, t, default_mask)
        mask[left] = method.compute_mask(t[left], default_mask=default_mask[left]).to(mask.dtype)
        return mask


def _left_to_prune(method: BasePruningMethod, t: Tensor, mask: Tensor) -> Any:
    """The key of what a method chooses from."""
    if method.PRUNING_TYPE == "unstructured":
        return mask.eq(1)
    if method.PRUNING_TYPE == "global":
        return (slice(None),) * t.ndim
    if method.PRUNING_TYPE != "structured":
        raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
    if not hasattr(method, "dim"):
        raise AttributeError(
            'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
        )
    dim = method.dim + t.ndim if method.dim < 0 else method.dim
    if dim < 0:
        raise IndexError(f"Index is out of bounds for tensor with dimensions {t.ndim}")
    others = [n for n in range(t.ndim) if n != dim]
    key: list[Any] = [slice(None)] * t.ndim
    key[dim] = mask.sum(dim=others).ne(0)
    return tuple(key)
