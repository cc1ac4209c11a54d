"""``torch.autograd.variable``, from before tensors and variables were one."""

from __future__ import annotations

from typing import Any

from distrt.core.tensor import Tensor

__all__ = ["Variable"]


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """A tensor of the same memory, outside the graph; scripts from before PyTorch 0.4 wrap every tensor in it."""

    def __new__(cls, data: Tensor, requires_grad: bool = False) -> Any:
        """The tensor: there are no variables beside tensors."""
        return data.detach().requires_grad_(requires_grad)
