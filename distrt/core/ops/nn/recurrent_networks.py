"""``lstm``, ``gru``, ``rnn_tanh`` and ``rnn_relu`` over layers and directions, and one step of each as a cell.

The layers of ``distrt.nn`` call these, and users may, as in PyTorch. One layer in one direction is one operation
(``recurrent.py``); what lies between the layers is put together here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.autocast import as_it_comes, lowered
from distrt.core.dtypes.promotion import promote_types
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.modes import modes
from distrt.core.ops.pointwise.type_names import scalar_type

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
]

#: One layer in one direction: (rows, states, weights, sizes, reverse) -> (rows, *last states). That of an LSTM also
#: takes ``batch_first``: the rows of a sequence lie together, not those of a step.
Layer = Callable[..., Sequence[Any]]


def lstm(input: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any, Any]:
    """The output of a network of LSTM layers, its last hidden states and its last cells.

    ``lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)``, or
    ``lstm(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)`` for packed rows.
    """
    return _network(_lstm_layer, input, *args, **kwargs)


def gru(input: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The output of a network of GRU layers and its last hidden states; the arguments are those of :func:`lstm`."""
    return _network(_gru_layer, input, *args, **kwargs)


def rnn_tanh(input: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The output of a network of tanh layers and its last hidden states; the arguments are those of :func:`lstm`."""
    return _network(_tanh_layer, input, *args, **kwargs)


def rnn_relu(input: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
    """The output of a network of relu layers and its last hidden states; the arguments are those of :func:`lstm`."""
    return _network(_relu_layer, input, *args, **kwargs)


def lstm_cell(
    input: Any, hx: Sequence[Any], w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None
) -> tuple[Any, Any]:
    """One step of an LSTM. Shape: (batch, in), two of (batch, H) -> two of (batch, H)."""
    if len(hx) != 2:
        raise ShapeError("lstm_cell expects two hidden states")
    _check_cell(input, hx, w_ih, w_hh)
    _, hidden, cell = _lstm_layer(input, hx, (w_ih, w_hh, b_ih, b_hh), (input.shape[0],), False)
    return hidden, cell


def gru_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """One step of a GRU. Shape: (batch, in), (batch, H) -> (batch, H)."""
    return _cell(_gru_layer, input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_tanh_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """``tanh(W_ih x + b_ih + W_hh h + b_hh)``. Shape: (batch, in), (batch, H) -> (batch, H)."""
    return _cell(_tanh_layer, input, hx, w_ih, w_hh, b_ih, b_hh)


def rnn_relu_cell(input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any = None, b_hh: Any = None) -> Any:
    """``relu(W_ih x + b_ih + W_hh h + b_hh)``. Shape: (batch, in), (batch, H) -> (batch, H)."""
    return _cell(_relu_layer, input, hx, w_ih, w_hh, b_ih, b_hh)


# -- one layer in one direction


def _plain_layer(
    nonlinearity: str,
    rows: Any,
    states: Sequence[Any],
    weights: Sequence[Any],
    sizes: tuple[int, ...],
    reverse: bool,
) -> Any:
    options = sizes, reverse, nonlinearity
    return _run(ops.rnn_layer, (rows, states[0], *_filled(weights, 4)), options, (None, None))


_tanh_layer: Layer = functools.partial(_plain_layer, "tanh")
_relu_layer: Layer = functools.partial(_plain_layer, "relu")


def _gru_layer(
    rows: Any, states: Sequence[Any], weights: Sequence[Any], sizes: tuple[int, ...], reverse: bool
) -> Any:
    known = rows, states[0], *_filled(weights, 4)
    return _run(ops.gru_layer, known, (sizes, reverse), (states[0], states[0]))


def _lstm_layer(
    rows: Any,
    states: Sequence[Any],
    weights: Sequence[Any],
    sizes: tuple[int, ...],
    reverse: bool,
    batch_first: bool = False,
) -> Any:
    is_projected = states[0].shape[-1] != states[1].shape[-1]
    known = (*_filled(weights[:-1], 4), weights[-1]) if is_projected else _filled(weights, 5)
    hidden = None if is_projected else states[1]
    return _run(
        ops.lstm_layer, (rows, *states, *known), (sizes, reverse, batch_first), (hidden, hidden, states[1])
    )


def _run(layer: Any, tensors: Sequence[Any], options: tuple[Any, ...], kept: Sequence[Any]) -> Any:
    """One operation.

    In a mixed-precision block it is narrow: its gates and states are float32 inside, where those of single operations
    would be rounded at each step. Results are in the dtype that those would give: ``kept`` has the state whose dtype
    goes into each, None where it is a product's. A single step, whose state would be rounded, is made of them.
    """
    if modes.autocast is None:
        return layer(*tensors, *options)
    if len(options[0]) == 1 or any(each is not None and each._array.dtype == np.float64 for each in tensors):
        return layer.composite.__wrapped__(*tensors, *options)
    return [
        each if state is None else ops.to_dtype(each, promote_types(each._array.dtype, state._array.dtype))
        for each, state in zip(layer(*tensors, *options), kept, strict=True)
    ]


def _filled(weights: Sequence[Any], count: int) -> tuple[Any, ...]:
    return (*weights, *[None] * (count - len(weights)))


def _cell(layer: Layer, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    _check_cell(input, (hx,), w_ih, w_hh)
    return layer(input, (hx,), (w_ih, w_hh, b_ih, b_hh), (input.shape[0],), False)[1]


def _check_dtypes(tensors: Sequence[Any], weight: Any) -> None:
    if modes.autocast is not None:
        return
    for each in tensors:
        if each._array.dtype != weight._array.dtype:
            raise DtypeError(
                f"mat1 and mat2 must have the same dtype, but got {scalar_type(each._array)} and "
                f"{scalar_type(weight._array)}"
            )


def _check_cell(input: Any, states: Sequence[Any], w_ih: Any, w_hh: Any) -> None:
    if input.shape[1] != w_ih.shape[1]:
        raise ShapeError(f"input has inconsistent input_size: got {input.shape[1]} expected {w_ih.shape[1]}")
    for number, state in enumerate(states):
        if input.shape[0] != state.shape[0]:
            raise ShapeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{number} batch size {state.shape[0]}"
            )
        if state.ndim != 2 or state.shape[1] != w_hh.shape[1]:
            found = state.shape[1] if state.ndim > 1 else state.shape[0]
            raise ShapeError(
                f"hidden{number} has inconsistent hidden_size: got {found}, expected {w_hh.shape[1]}"
            )
    _check_dtypes((input, *states), w_ih)


# -- the layers on top of one another


def _network(layer: Layer, input: Any, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
    """Tells the two forms apart: only packed rows have something other than the weights in the third place."""
    if "batch_sizes" in kwargs or (len(args) > 2 and not isinstance(args[2], bool)):
        return _packed_network(layer, input, *args, **kwargs)
    return _padded_network(layer, input, *args, **kwargs)


def _padded_network(
    layer: Layer,
    input: Any,
    hx: Any,
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[Any, ...]:
    states = (hx,) if hasattr(hx, "ndim") else hx
    # PyTorch has a kernel for these, which casts all that it is given.
    if (
        modes.autocast is not None
        and layer is _lstm_layer
        and states[0].shape[-1] == states[-1].shape[-1]
        and input._array.dtype != np.float64
        and input._array.size
    ):
        cast = ([lowered(each) for each in states], [lowered(each) for each in params])
        options = (has_biases, num_layers, dropout, train, bidirectional, batch_first)
        return as_it_comes(_padded_network, layer, lowered(input), *cast, *options)  # type: ignore[no-any-return]
    # Dropout between layers draws its numbers step by step.
    is_kept = batch_first and layer is _lstm_layer and not (dropout and train and num_layers > 1)
    given = ops.transpose(input, 0, 1) if batch_first and not is_kept else input
    first, second, features = given.shape
    length, batch = (second, first) if is_kept else (first, second)
    if not length:
        raise ShapeError("Expected sequence length to be larger than 0 in RNN")
    output, *last = _stacked(
        layer,
        ops.reshape(given, (length * batch, features)),
        (batch,) * length,
        hx,
        params,
        has_biases,
        num_layers,
        dropout,
        train,
        bidirectional,
        **({"batch_first": True} if is_kept else {}),
    )
    output = ops.reshape(output, (first, second, output.shape[1]))
    return ops.transpose(output, 0, 1) if batch_first and not is_kept else output, *last


def _packed_network(
    layer: Layer,
    data: Any,
    batch_sizes: Any,
    hx: Any,
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Any, ...]:
    sizes = tuple(batch_sizes.tolist())
    return _stacked(layer, data, sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional)


def _stacked(
    layer: Layer,
    rows: Any,
    sizes: tuple[int, ...],
    hx: Any,
    params: Sequence[Any],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    **order: bool,
) -> tuple[Any, ...]:
    states = (hx,) if hasattr(hx, "ndim") else tuple(hx)
    directions = 2 if bidirectional else 1
    if layer is _lstm_layer and len(states) != 2:
        raise ShapeError("lstm expects two hidden states")
    if any(each.shape[0] != num_layers * directions for each in states):
        raise ShapeError(
            f"Expected {num_layers * directions} hidden states in stacked_rnn, got {states[0].shape[0]}"
        )
    projected = len(states) > 1 and states[0].shape[-1] != states[1].shape[-1]
    each_has = (4 if has_biases else 2) + projected
    if len(params) != num_layers * directions * each_has:
        raise ShapeError(
            f"Expected {num_layers * directions * each_has} weights in stacked_rnn, got {len(params)}"
        )
    _check_dtypes((rows, *states), params[0])
    last: list[list[Any]] = [[] for _ in states]
    for number in range(num_layers):
        outputs = []
        for reverse in range(directions):
            place = number * directions + reverse
            weights = params[place * each_has : (place + 1) * each_has]
            initial = [ops.select(each, 0, place) for each in states]
            output, *ended = layer(rows, initial, weights, sizes, bool(reverse), **order)
            outputs.append(output)
            for known, state in zip(last, ended, strict=True):
                known.append(state)
        rows = ops.cat(outputs, 1) if bidirectional else outputs[0]
        if dropout and number < num_layers - 1:
            rows = ops.dropout(rows, dropout, train)
    return rows, *(ops.stack(each, 0) for each in last)
