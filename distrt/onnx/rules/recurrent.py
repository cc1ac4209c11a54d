"""Recurrent networks, a node for each layer, and single steps."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.elementwise import dropped
from distrt.onnx.rules.linear import affine
from distrt.onnx.rules.table import Call, rule
from distrt.tracing import Value

#: ONNX's order of the gates, as places in PyTorch's, and the attributes of the node.
_KINDS: dict[str, tuple[str, tuple[int, ...], dict[str, Any]]] = {
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "rnn_tanh": ("RNN", (0,), {"activations": "Tanh"}),
    "rnn_relu": ("RNN", (0,), {"activations": "Relu"}),
}


def _padded(
    input: Any,
    hx: Any,
    params: Any,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> None:
    """The arguments of a network over padded sequences."""


@rule("lstm", "gru", "rnn_tanh", "rnn_relu")
def _network(g: Drawing, call: Call) -> Any:
    kind, order, attributes = _KINDS[call.target]
    given = (call.input, *call.args)
    if isinstance(given[1], Value) and not isinstance(given[2], bool) and isinstance(given[3], tuple | list):
        raise g.unsupported(f"{call.target} of a packed sequence")
    a = inspect.signature(_padded).bind(*given, **call.kwargs).arguments
    directions = 2 if a["bidirectional"] else 1
    states = list(a["hx"]) if call.target == "lstm" else [a["hx"]]
    each = 4 if a["has_biases"] else 2
    if len(a["params"]) != a["num_layers"] * directions * each:
        raise g.unsupported("an LSTM with a projection")
    value: Any = g.node("Transpose", a["input"], perm=[1, 0, 2]) if a["batch_first"] else a["input"]
    lasts: list[list[str]] = [[] for _ in states]
    for layer in range(a["num_layers"]):
        if layer and a["train"] and a["dropout"]:
            value = dropped(g, value, float(a["dropout"]))
        first = layer * directions
        weights = [a["params"][(first + d) * each : (first + d + 1) * each] for d in range(directions)]
        begin = [
            each_state if a["num_layers"] == 1 else g.slice(each_state, 0, first, first + directions)
            for each_state in states
        ]
        value, *last = _layer(g, kind, order, attributes, value, weights, begin)
        for kept, one in zip(lasts, last, strict=True):
            kept.append(one)
    if a["batch_first"]:
        value = g.node("Transpose", value, perm=[1, 0, 2])
    return [value, *(one[0] if len(one) == 1 else g.node("Concat", *one, axis=0) for one in lasts)]


def _layer(
    g: Drawing,
    kind: str,
    order: Sequence[int],
    attributes: dict[str, Any],
    value: Any,
    weights: Sequence[Sequence[Value]],
    states: Sequence[Any],
) -> list[str]:
    """One layer in all its directions: the outputs side by side, and the last states."""
    directions, hidden = len(weights), weights[0][1].shape[1]
    matrices = [_stacked(g, [one[number] for one in weights], order) for number in (0, 1)]
    bias = None
    if len(weights[0]) == 4:
        halves = [_stacked(g, [one[number] for one in weights], order) for number in (2, 3)]
        bias = _side_by_side(g, halves)
    kept = {key: [each] * directions if key == "activations" else each for key, each in attributes.items()}
    found = g.nodes_of(
        kind,
        1 + len(states),
        value,
        *matrices,
        bias,
        None,
        *states,
        hidden_size=hidden,
        direction="bidirectional" if directions == 2 else "forward",
        **kept,
    )
    rows = found[0]  # (T, directions, B, H)
    if directions == 1:
        return [g.squeeze(rows, 1), *found[1:]]
    turned = g.node("Transpose", rows, perm=[0, 2, 1, 3])
    return [g.reshape(turned, [0, 0, directions * hidden]), *found[1:]]


def _stacked(g: Drawing, weights: Sequence[Value], order: Sequence[int]) -> Any:
    """The weights of all directions as one tensor, with the gates in ONNX's order."""
    arrays = [g.array_of(each) for each in weights]
    known = [each for each in arrays if each is not None]
    if len(known) == len(arrays):
        name = f"{weights[0].path or weights[0].name}.onnx"
        return g.named_constant(name, np.stack([_in_order(each, order) for each in known]))
    rows = []
    for each in weights:
        size = each.shape[0] // len(order)
        gates = g.split(each, [size] * len(order), 0) if len(order) > 1 else [g.name_of(each)]
        turned = [gates[place] for place in order]
        rows.append(g.unsqueeze(g.node("Concat", *turned, axis=0) if len(turned) > 1 else turned[0], 0))
    return rows[0] if len(rows) == 1 else g.node("Concat", *rows, axis=0)


def _in_order(array: Any, order: Sequence[int]) -> Any:
    gates = np.split(array, len(order))
    return np.concatenate([gates[place] for place in order])


def _side_by_side(g: Drawing, halves: Sequence[str]) -> str:
    """Both biases in one row for each direction."""
    arrays = [g.constants[each] for each in halves if each in g.constants]
    if len(arrays) == len(halves):
        for each in halves:
            g.forget(each)
        return g.named_constant(halves[0], np.concatenate(arrays, axis=1))
    return g.node("Concat", *halves, axis=1)


# -- single steps


@rule("lstm_cell")
def _lstm_cell(g: Drawing, call: Call) -> Any:
    hidden, cell = call.hx
    gates = g.node(
        "Add", affine(g, call.input, call.w_ih, call.b_ih), affine(g, hidden, call.w_hh, call.b_hh)
    )
    i, f, c, o = g.split(gates, [call.w_hh.shape[1]] * 4, 1)
    kept = g.node("Mul", g.node("Sigmoid", f), cell)
    new = g.node("Mul", g.node("Sigmoid", i), g.node("Tanh", c))
    cell = g.node("Add", kept, new)
    return [g.node("Mul", g.node("Sigmoid", o), g.node("Tanh", cell)), cell]


@rule("gru_cell")
def _gru_cell(g: Drawing, call: Call) -> Any:
    size = call.w_hh.shape[1]
    of_input = g.split(affine(g, call.input, call.w_ih, call.b_ih), [size] * 3, 1)
    of_state = g.split(affine(g, call.hx, call.w_hh, call.b_hh), [size] * 3, 1)
    reset, update = (g.node("Sigmoid", g.node("Add", of_input[n], of_state[n])) for n in (0, 1))
    new = g.node("Tanh", g.node("Add", of_input[2], g.node("Mul", reset, of_state[2])))
    return g.node("Add", new, g.node("Mul", update, g.node("Sub", call.hx, new)))


@rule("rnn_tanh_cell", "rnn_relu_cell")
def _rnn_cell(g: Drawing, call: Call) -> Any:
    both = g.node(
        "Add", affine(g, call.input, call.w_ih, call.b_ih), affine(g, call.hx, call.w_hh, call.b_hh)
    )
    return g.node("Tanh" if "tanh" in call.target else "Relu", both)
