"""Lines of the table of layers: recurrent layers and their cells."""

from tests.oracle.layer_table import errors, layers

PADDED = ("f(5, 2, 3)", "f(1, 1, 3)", "f(4, 3)", "f(3, 0, 3)")
TURNED = ("f(2, 5, 3)", "f(4, 3)")

layers(
    (*PADDED, "f(5, 2, 3), f(1, 2, 4)", "f(5, 3), f(1, 4)", "f(5, 2, 3), hx=c(1, 2, 4)"),
    "RNN(3, 4)",
    "RNN(3, 4, nonlinearity='relu')",
    "RNN(3, 4, bias=False)",
    "GRU(3, 4)",
    "GRU(3, 4, bias=False)",
)
layers(
    ("f(2, 5, 3)", "f(2, 5, 3), f(4, 2, 4)", "f(5, 3), f(4, 4)", "f(4, 3)"),
    "RNN(3, 4, 2, 'relu', True, True, 0.0, True)",
    "RNN(input_size=3, hidden_size=4, num_layers=2, batch_first=True, bidirectional=True)",
    "GRU(3, 4, 2, False, True, 0.0, True)",
    "GRU(input_size=3, hidden_size=4, num_layers=2, batch_first=True, bidirectional=True)",
)
layers(
    (
        *PADDED,
        "f(5, 2, 3), (f(1, 2, 4), f(1, 2, 4))",
        "f(5, 3), (f(1, 4), f(1, 4))",
        "f(5, 2, 3), hx=(c(1, 2, 4), f(1, 2, 4))",
    ),
    "LSTM(3, 4)",
    "LSTM(3, 4, bias=False)",
)
layers(
    (*TURNED, "f(2, 5, 3), (f(4, 2, 4), f(4, 2, 4))", "f(5, 3), (f(4, 4), f(4, 4))"),
    "LSTM(3, 4, 2, True, True, 0.0, True)",
    "LSTM(input_size=3, hidden_size=4, num_layers=2, batch_first=True, bidirectional=True)",
    "LSTM(3, 4, 2, bias=False, batch_first=True, bidirectional=True)",
)
layers(
    (*TURNED, "f(2, 5, 3), (f(4, 2, 2), f(4, 2, 4))", "f(5, 3), (f(4, 2), f(4, 4))"),
    "LSTM(3, 4, 2, batch_first=True, bidirectional=True, proj_size=2)",
    "LSTM(3, 4, 2, False, True, bidirectional=True, proj_size=2)",
)
layers(PADDED, "LSTM(3, 4, proj_size=1)", "LSTM(3, 1)", "GRU(3, 1, 3)", "RNN(3, 2, 3)")

CELLS = ("f(2, 3)", "f(3)", "f(2, 3), f(2, 4)", "f(3), f(4)", "f(0, 3)", "f(2, 3), hx=f(2, 4)")
layers(CELLS, "RNNCell(3, 4)", "RNNCell(3, 4, False, 'relu')", "GRUCell(3, 4)", "GRUCell(3, 4, bias=False)")
layers(
    ("f(2, 3)", "f(3)", "f(2, 3), (f(2, 4), f(2, 4))", "f(3), (f(4), f(4))", "f(0, 3)"),
    "LSTMCell(3, 4)",
    "LSTMCell(3, 4, bias=False)",
)
layers("2x3", "Identity(nn.RNNBase('LSTM', 3, 4), nn.RNNCellBase(3, 4, True, 2))")

errors(
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3), [3, 2])",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3), [2, 3, 1])",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3), [3, 2, 0])",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3), [3, 2, -1], enforce_sorted=False)",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3, 0), [3, 2, 1])",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4), [3])",
    "nn.utils.rnn.pack_padded_sequence(t.ones(4, 3), t.ones(3, 1))",
    "nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.pack_sequence([t.ones(3)]), total_length=2)",
    "nn.utils.rnn.PackedSequence(t.ones(3))",
    "nn.utils.rnn.pad_sequence(3)",
    "nn.utils.rnn.pad_sequence([])",
    "nn.utils.rnn.pad_sequence([t.ones(3), 1])",
    "nn.utils.rnn.pad_sequence([t.tensor(1.0)])",
    "nn.utils.rnn.pad_sequence([t.ones(3, 2), t.ones(2, 3)])",
    "nn.utils.rnn.pad_sequence([t.ones(3)], padding_side='x')",
    "nn.utils.rnn.unpad_sequence(t.ones(3, 2), t.tensor([1, 2, 3]))",
    "nn.RNN(3, 4, dropout=1.5)",
    "nn.RNN(3, 4, dropout='a')",
    "nn.RNN(3, 4, dropout=True)",
    "nn.RNN(3, 4, nonlinearity='gelu')",
    "nn.RNN(3, 4, proj_size=1)",
    "nn.GRU(3, 4, proj_size=1)",
    "nn.LSTM(3, 4, proj_size=4)",
    "nn.LSTM(3, 4, proj_size=-1)",
    "nn.LSTM(3, 0)",
    "nn.LSTM(0, 3)",
    "nn.LSTM(3, 4, 0)",
    "nn.LSTM(3., 4)",
    "nn.LSTM(3, '4')",
    "nn.LSTM(3, 4, bias=1)",
    "nn.LSTM(3, 4, batch_first=1)",
    "nn.RNNBase('x', 3, 4)",
    "nn.RNNBase('GRU', 3, 4)(t.ones(2, 2, 3))",
    "nn.RNN(3, 4)(t.ones(3))",
    "nn.GRU(3, 4)(t.ones(3))",
    "nn.LSTM(3, 4)(t.ones(2, 2, 2, 3))",
    "nn.LSTM(3, 4)(t.ones(5, 2, 7))",
    "nn.GRU(3, 4)(t.ones(5, 2, 7))",
    "nn.LSTM(3, 4)(t.ones(0, 2, 3))",
    "nn.RNN(3, 4)(t.ones(5, 2, 3).double())",
    "nn.RNN(3, 4)(t.ones(5, 2, 3).long())",
    "nn.RNN(3, 4)(t.ones(5, 2, 3), t.ones(1, 3, 4))",
    "nn.GRU(3, 4, batch_first=True)(t.ones(5, 2, 3), t.ones(1, 2, 4))",
    "nn.GRU(3, 4)(t.ones(5, 2, 3), t.ones(2, 4))",
    "nn.GRU(3, 4)(t.ones(5, 3), t.ones(1, 2, 4))",
    "nn.GRU(3, 4)(t.ones(5, 2, 3), t.ones(1, 2, 4).double())",
    "nn.LSTM(3, 4)(t.ones(5, 2, 3), (t.ones(1, 2, 4), t.ones(1, 2, 5)))",
    "nn.LSTM(3, 4)(t.ones(5, 2, 3), (t.ones(1, 2, 5), t.ones(1, 2, 4)))",
    "nn.LSTM(3, 4)(t.ones(5, 2, 3), (t.ones(2, 4), t.ones(2, 4)))",
    "nn.LSTM(3, 4)(t.ones(5, 3), (t.ones(1, 2, 4), t.ones(1, 2, 4)))",
    "nn.LSTM(3, 4)(t.ones(5, 2, 3), t.ones(1, 2, 4))",
    "nn.LSTMCell(3, 4)(t.ones(2, 5))",
    "nn.LSTMCell(3, 4)(t.ones(2, 2, 3))",
    "nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(3, 4), t.ones(3, 4)))",
    "nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 4), t.ones(2, 5)))",
    "nn.LSTMCell(3, 4)(t.ones(2, 3), (t.ones(2, 4), t.ones(1, 2, 5)))",
    "nn.LSTMCell(3, 4)(t.ones(2, 3).double())",
    "nn.GRUCell(3, 4)(t.ones(2, 3), t.ones(3, 4))",
    "nn.GRUCell(3, 4)(t.ones(2, 3), t.ones(2, 5))",
    "nn.GRUCell(3, 4)(t.ones(2, 3), t.ones(1, 2, 5))",
    "nn.GRUCell(3, 4)(t.ones(3), t.ones(2, 4))",
    "nn.RNNCell(3, 4)(t.tensor(1.0))",
    "nn.RNNCell(3, 4)(t.ones(2, 3), t.ones(1, 4))",
    "nn.RNNCell(3, 4, nonlinearity='gelu')(t.ones(2, 3))",
)
