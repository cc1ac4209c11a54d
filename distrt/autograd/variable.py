"""``torch.autograd.variable``, from before tensors and variables were one."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import empty
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor

__all__ = ["Variable"]


class _VariableType(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """A tensor of the same memory, outside the graph; scripts from before PyTorch 0.4 wrap every tensor in it."""

    def __new__(
        cls, data: Any = None, requires_grad: bool | None = False, volatile: bool | None = False
    ) -> Any:
        """The tensor: there are no variables beside tensors. ``volatile`` has no effect, and warns of it.

        Raises:
            TypeError: for data that is no tensor.
        """
        if volatile:
            warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.")
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(bool(requires_grad))
