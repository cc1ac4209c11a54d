"""``Parameter``: a tensor that a module owns and trains."""

from __future__ import annotations

from typing import Any

from distrt.core.creation import empty
from distrt.core.tensor import Tensor


class Parameter(Tensor):
    """A tensor that becomes a module's parameter when it is assigned as an attribute.

    It shares the memory of ``data``, and requires grad unless told otherwise.
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        source = empty(0) if data is None else data
        if not isinstance(source, Tensor):
            raise TypeError(f"Parameter: expected a Tensor, got {type(source).__name__}")
        self._array = source._array
        self._counter = [0]
        self.requires_grad_(requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        """A parameter with a copy of the values, and memory and gradient of its own: none."""
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.detach().clone(), self.requires_grad)
        return memo[id(self)]  # type: ignore[no-any-return]
