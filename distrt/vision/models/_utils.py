"""What several models share: channel counts that hardware likes, and the outputs of inner layers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from distrt.core.tensor import Tensor
from distrt.nn import Module, ModuleDict

__all__ = ["IntermediateLayerGetter"]


def _make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """The nearest multiple of ``divisor``, but no less than nine tenths of ``v``."""
    if min_value is None:
        min_value = divisor
    rounded = max(min_value, int(v + divisor / 2) // divisor * divisor)
    if rounded < 0.9 * v:
        rounded += divisor
    return rounded


class IntermediateLayerGetter(ModuleDict):
    """Runs a model's children in order, up to the last one of interest, and gives their outputs by new names.

    Args:
        model: a model whose ``forward`` calls its children in the order in which they were made.
        return_layers: for each child of interest, the name that its output gets.
    """

    def __init__(self, model: Module, return_layers: dict[str, str]) -> None:
        names = [name for name, _ in model.named_children()]
        if not set(return_layers).issubset(names):
            raise ValueError("return_layers are not present in model")
        wanted = {str(key): str(value) for key, value in return_layers.items()}
        last = max(names.index(name) for name in wanted)
        super().__init__(OrderedDict(list(model.named_children())[: last + 1]))
        self.return_layers = wanted

    def forward(self, x: Tensor) -> Any:
        """The outputs, in an ordered dict."""
        out: OrderedDict[str, Any] = OrderedDict()
        for name, module in self.items():
            x = module(x)
            if name in self.return_layers:
                out[self.return_layers[name]] = x
        return out
