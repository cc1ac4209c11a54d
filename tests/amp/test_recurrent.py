"""Recurrent networks under autocast: one operation for a layer, whatever the number of steps."""

import pytest

import distrt as torch
from distrt import nn


def operations(output):
    """The names of all nodes behind a tensor."""
    found, waiting = set(), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in found:
            found.add(node)
            waiting += [each for each, _ in node.next_functions]
    return sorted(node.name() for node in found)


@pytest.mark.parametrize(
    "layer", [nn.LSTM(4, 8), nn.LSTM(4, 8, proj_size=3), nn.GRU(4, 8), nn.RNN(4, 8)], ids=str
)
@pytest.mark.parametrize("is_packed", [False, True], ids=["padded", "packed"])
def test_the_number_of_operations_does_not_follow_that_of_steps(layer, is_packed):
    graphs = []
    for steps in (3, 6):
        input = torch.randn(steps, 2, 4)
        if is_packed:
            input = nn.utils.rnn.pack_padded_sequence(input, [steps, 2])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = layer(input)[0]
        graphs.append(operations(output.data if is_packed else output))
    assert graphs[0] == graphs[1]


def test_a_long_walk_keeps_its_state_in_float32():
    """An average over many steps that would stand still, were it rounded at each."""
    layer = nn.GRU(1, 1, bias=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0[1], layer.bias_ih_l0[2] = 7.0, 4.0  # a slow update towards 1
        exact = layer(torch.zeros(400, 1, 1))[0][-1].item()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = layer(torch.zeros(400, 1, 1))[0][-1].item()
    assert 0.2 < exact < 0.5
    assert found == pytest.approx(exact, rel=2**-8)
