"""Area I: recurrent layers; area J: interpolation."""

from __future__ import annotations

import distrt as torch
import distrt.nn.functional as F
from distrt import nn
from tests.inventory.rows import covers


@covers("I17")
def test_rnn() -> None:
    rnn = nn.RNN(input_size=100, hidden_size=256, num_layers=2, batch_first=True, bidirectional=True)
    out, h = rnn(torch.randn(3, 7, 100))
    assert out.shape == (3, 7, 512) and h.shape == (4, 3, 256)
    names = [name for name, _ in rnn.named_parameters()]
    assert names[:8] == [
        f"{kind}_{side}_l0{suffix}"
        for suffix in ("", "_reverse")
        for kind in ("weight", "bias")
        for side in ("ih", "hh")
    ]
    assert len(names) == 16 and rnn.weight_ih_l1_reverse.shape == (256, 512)


@covers("I18", "I25")
def test_lstm() -> None:
    lstm = nn.LSTM(input_size=100, hidden_size=256, num_layers=2, batch_first=True, bidirectional=True)
    x = torch.randn(3, 7, 100)
    out, (h, c) = lstm(x)
    assert out.shape == (3, 7, 512) and h.shape == (4, 3, 256) and c.shape == (4, 3, 256)
    assert torch.equal(out[:, -1, :256], h[2]) and torch.equal(out[:, 0, 256:], h[3])
    again, _ = lstm(x, (torch.zeros(4, 3, 256), torch.zeros(4, 3, 256)))
    assert torch.equal(out, again)
    second, _ = lstm(x, (h, c))
    assert not torch.allclose(out, second)


@covers("I18")
def test_lstm_gates_are_input_forget_cell_output() -> None:
    lstm = nn.LSTM(1, 1)
    with torch.no_grad():
        for parameter in lstm.parameters():
            parameter.zero_()
        lstm.bias_ih_l0.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]))
    _, (h, c) = lstm(torch.zeros(1, 1, 1), (torch.zeros(1, 1, 1), torch.full((1, 1, 1), 5.0)))
    i, f, g, o = (torch.tensor(value) for value in (1.0, 2.0, 3.0, 4.0))
    cell = torch.sigmoid(f) * 5 + torch.sigmoid(i) * torch.tanh(g)
    assert torch.allclose(c, cell) and torch.allclose(h, torch.sigmoid(o) * torch.tanh(cell))


@covers("I19", "I25")
def test_gru() -> None:
    gru = nn.GRU(input_size=100, hidden_size=256, num_layers=2, batch_first=True)
    out, h = gru(torch.randn(3, 7, 100), torch.randn(2, 3, 256))
    assert out.shape == (3, 7, 256) and h.shape == (2, 3, 256) and torch.equal(out[:, -1], h[1])


@covers("I19")
def test_gru_resets_the_hidden_bias_of_the_new_gate() -> None:
    gru = nn.GRU(1, 1)
    with torch.no_grad():
        for parameter in gru.parameters():
            parameter.zero_()
        gru.bias_ih_l0.copy_(torch.tensor([1.0, 2.0, 3.0]))
        gru.bias_hh_l0.copy_(torch.tensor([0.0, 0.0, 4.0]))
    _, h = gru(torch.zeros(1, 1, 1))
    r, z = torch.sigmoid(torch.tensor(1.0)), torch.sigmoid(torch.tensor(2.0))
    assert torch.allclose(h, (1 - z) * torch.tanh(3 + r * 4))


@covers("I25")
def test_rnn_begins_with_the_state_that_is_given() -> None:
    rnn = nn.RNN(3, 4)
    x, h0 = torch.randn(6, 2, 3), torch.randn(1, 2, 4)
    whole, last = rnn(x, h0)
    first, between = rnn(x[:2], h0)
    second, end = rnn(x[2:], between)
    assert torch.allclose(whole, torch.cat([first, second])) and torch.allclose(last, end)


@covers("J11")
def test_interpolate_has_half_pixel_centres() -> None:
    x, cam = torch.randn(1, 3, 8, 8), torch.tensor([[[[0.0, 4.0], [8.0, 12.0]]]])
    found = F.interpolate(cam, x.shape[2:], mode="bilinear", align_corners=False)
    assert found.shape == (1, 1, 8, 8)
    steps = ((torch.arange(8.0) + 0.5) / 4 - 0.5).clamp(0, 1)
    assert torch.allclose(found[0, 0], 8 * steps[:, None] + 4 * steps)
