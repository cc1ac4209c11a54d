"""One step of a recurrent layer, for loops of one's own: ``RNNCell``, ``LSTMCell``, ``GRUCell``.

They are also found where PyTorch has them, in ``distrt.nn.modules.rnn``.
"""

from __future__ import annotations

import math
from typing import Any

from distrt.core import ops
from distrt.core.creation import empty, zeros
from distrt.core.overriding.doors import overridable
from distrt.core.tensor import Tensor
from distrt.nn import init
from distrt.nn.modules.module import Module
from distrt.nn.parameter import Parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]

_tanh_cell, _relu_cell = overridable(ops.rnn_tanh_cell), overridable(ops.rnn_relu_cell)
_lstm_cell, _gru_cell = overridable(ops.lstm_cell), overridable(ops.gru_cell)


class RNNCellBase(Module):
    """What the cells share: two weights and two biases of ``num_chunks`` gates."""

    _kind = ""  # as errors name it, in subclasses of users, too

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(empty(rows, input_size, dtype=dtype, device=device))
        self.weight_hh = Parameter(empty(rows, hidden_size, dtype=dtype, device=device))
        for name in ("bias_ih", "bias_hh"):
            made = Parameter(empty(rows, dtype=dtype, device=device)) if bias else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new parameters, uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        """Sizes, and the options that are not the usual ones."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.__dict__.get("nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _weights(self) -> tuple[Any, ...]:
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def _check_dims(self, given: dict[str, Tensor | None]) -> None:
        for name, tensor in given.items():
            if tensor is not None and tensor.dim() not in (1, 2):
                raise ValueError(f"{self._kind}: Expected {name} to be 1D or 2D, got {tensor.dim()}D instead")

    def _first_state(self, input: Tensor) -> Tensor:
        return zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)

    def _step(self, function: Any, input: Tensor, hx: Tensor | None) -> Tensor:
        """One step of a cell with one state."""
        self._check_dims({"input": input, "hidden": hx})
        batched = input.dim() == 2
        if not batched:
            input, hx = input.unsqueeze(0), None if hx is None else hx.unsqueeze(0)
        hidden: Tensor = function(input, self._first_state(input) if hx is None else hx, *self._weights())
        return hidden if batched else hidden.squeeze(0)


class RNNCell(RNNCellBase):
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)``, or relu of it. Shape: (B, in), (B, H) -> (B, H), or without B."""

    _kind = "RNNCell"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state; it begins with zeros where none is given."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(_tanh_cell if self.nonlinearity == "tanh" else _relu_cell, input, hx)


class LSTMCell(RNNCellBase):
    """``c = f c + i g; h = o tanh(c)``. Shape: (B, in), two of (B, H) -> two of (B, H), or without B."""

    _kind = "LSTMCell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The next state and cell; both begin with zeros where none are given."""
        self._check_dims({"input": input, **{f"hx[{n}]": each for n, each in enumerate(hx or ())}})
        batched = input.dim() == 2
        if not batched:
            input, hx = input.unsqueeze(0), None if hx is None else (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        if hx is None:
            first = self._first_state(input)
            hx = first, first
        hidden, cell = _lstm_cell(input, hx, *self._weights())
        return (hidden, cell) if batched else (hidden.squeeze(0), cell.squeeze(0))


class GRUCell(RNNCellBase):
    """``h = (1 - z) n + z h``. Shape: (B, in), (B, H) -> (B, H), or without B."""

    _kind = "GRUCell"

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The next state; it begins with zeros where none is given."""
        return self._step(_gru_cell, input, hx)
