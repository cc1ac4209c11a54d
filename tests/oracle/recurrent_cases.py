"""Rows of the table of operation cases: recurrent networks, their cells, and packed sequences."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import FLOATS, HALVES, In, row

INPUT, STATE = In((3, 2, 3)), In((1, 2, 4))


def weights(gates: int, hidden: int = 4, state: int | None = None) -> tuple[In, ...]:
    """Both weights and both biases of one layer."""
    rows = gates * hidden
    return In((rows, 3)), In((rows, state or hidden)), In((rows,)), In((rows,))


def options(biases: bool = True, reverse: bool = False) -> tuple[Any, ...]:
    """has_biases, num_layers, dropout, train, bidirectional, batch_first."""
    return biases, 1, 0.0, True, reverse, False


for name, gates in (("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)):
    row(
        name,
        lambda t, x, h, *w, n=name: getattr(t, n)(x, h, w, *options()),
        [
            (INPUT, STATE, *weights(gates)),
            (In((3, 2, 3), "normal", "transposed"), STATE, *weights(gates)),
            (In((2, 0, 3)), In((1, 0, 4)), *weights(gates)),
        ],
        # In half precision the last digit decides which side of ReLU's corner a state is on, and with it the gradient.
        dtypes=FLOATS if name == "rnn_relu" else HALVES,
        covers="gru_layer" if name == "gru" else "rnn_layer",
    )
    row(
        f"{name}, packed, both directions",
        lambda t, x, h, *w, n=name: getattr(t, n)(x, t.tensor([3, 2, 2, 1]), h, w, True, 1, 0.0, True, True),
        [(In((8, 3)), In((2, 3, 4)), *weights(gates), *weights(gates))],
        covers="gru_layer" if name == "gru" else "rnn_layer",
    )
    row(
        f"{name}_cell",
        lambda t, x, h, *w, n=name: getattr(t, f"{n}_cell")(x, h, *w),
        [(In((2, 3)), In((2, 4)), *weights(gates)), (In((2, 3)), In((2, 4)), *weights(gates)[:2])],
        dtypes=FLOATS if name == "rnn_relu" else HALVES,
        covers="gru_layer" if name == "gru" else "rnn_layer",
    )

row(
    "lstm",
    lambda t, x, h, c, *w: t.lstm(x, (h, c), w, *options(len(w) > 3)),
    [
        (INPUT, STATE, STATE, *weights(4)),
        (In((2, 0, 3)), In((1, 0, 4)), In((1, 0, 4)), *weights(4)),
        (INPUT, In((1, 2, 2)), STATE, *weights(4, 4, 2), In((2, 4))),
        (INPUT, In((1, 2, 2)), STATE, *weights(4, 4, 2)[:2], In((2, 4))),
        (In((3, 2, 3), "normal", "strided"), STATE, STATE, *weights(4)[:2]),
    ],
    covers="lstm_layer",
)
row(
    "lstm, batch first, both directions",
    lambda t, x, h, c, *w: t.lstm(x, (h, c), w, True, 1, 0.0, True, True, True),
    [
        (In((2, 3, 3)), In((2, 2, 4)), In((2, 2, 4)), *weights(4), *weights(4)),
        (
            In((2, 3, 3)),
            In((2, 2, 2)),
            In((2, 2, 4)),
            *weights(4, 4, 2),
            In((2, 4)),
            *weights(4, 4, 2),
            In((2, 4)),
        ),
    ],
    covers="lstm_layer",
)
row(
    "lstm, packed, both directions",
    lambda t, x, h, c, *w: t.lstm(x, t.tensor([3, 2, 2, 1]), (h, c), w, True, 1, 0.0, True, True),
    [
        (In((8, 3)), In((2, 3, 4)), In((2, 3, 4)), *weights(4), *weights(4)),
        (
            In((8, 3)),
            In((2, 3, 2)),
            In((2, 3, 4)),
            *weights(4, 4, 2),
            In((2, 4)),
            *weights(4, 4, 2),
            In((2, 4)),
        ),
    ],
    covers="lstm_layer",
)
row(
    "lstm_cell",
    lambda t, x, h, c, *w: t.lstm_cell(x, (h, c), *w),
    [
        (In((2, 3)), In((2, 4)), In((2, 4)), *weights(4)),
        (In((2, 3)), In((2, 4)), In((2, 4)), *weights(4)[:2]),
    ],
    dtypes=HALVES,
    covers="lstm_layer",
)


def packed(t: Any, x: Any, *args: Any) -> Any:
    """Packs, and pads again."""
    rnn = t.nn.utils.rnn
    sequence = rnn.pack_padded_sequence(x, *args)
    return sequence.data, *rnn.pad_packed_sequence(sequence, args[1], 7.0, 6)


row(
    "pack_padded_sequence",
    lambda t, x: (*packed(t, x, [3, 2, 1], False), *packed(t, x, t.tensor([1, 4, 2]), False, False)),
    [In((4, 3, 2)), In((4, 3)), In((4, 3, 1, 2), "normal", "strided")],
    dtypes=(*HALVES, "int64", "bool"),
    covers="index_select",
)
row(
    "pack_padded_sequence, batch first",
    lambda t, x: (*packed(t, x, [4, 2, 1], True), *packed(t, x, t.tensor([1, 4, 2]), True, False)),
    [In((3, 4, 2)), In((3, 4), "normal", "transposed")],
    dtypes=(*HALVES, "int64"),
    covers="index_select",
)
row(
    "pad_sequence",
    lambda t, a, b, c: tuple(
        t.nn.utils.rnn.pad_sequence([a, b, c], first, 0.5, side)
        for first in (False, True)
        for side in ("left", "right")
    ),
    [(In((2, 3)), In((4, 3)), In((1, 1))), (In((2,)), In((0,)), In((3,)))],
    dtypes=(*HALVES, "int64"),
    covers="cat stack",
)
row(
    "pack_sequence",
    lambda t, a, b, c: (
        t.nn.utils.rnn.pack_sequence([a, b, c], enforce_sorted=False).data,
        *t.nn.utils.rnn.unpack_sequence(t.nn.utils.rnn.pack_sequence([a, b, c], enforce_sorted=False)),
    ),
    [(In((2, 3)), In((4, 3)), In((1, 3)))],
    dtypes=(*HALVES, "int64"),
    covers="index_select",
)
