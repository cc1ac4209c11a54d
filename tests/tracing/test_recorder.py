"""The recorder writes down what ran, and the replay of it gives the same values for other inputs."""

from __future__ import annotations

import sys
import warnings

import pytest

import distrt
from distrt import nn
from distrt.core.tensor import Tensor
from distrt.nn import functional as F
from distrt.tracing import Graph, TracerWarning, Value, is_tracing, lookup, record, replay
from distrt.tracing.targets import may_be_named, names_of_targets


class Small(nn.Module):
    """Layers, sizes that depend on the batch, an in-place change and several results."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.norm = nn.Sequential(nn.BatchNorm2d(2))
        self.fc = nn.Linear(2 * 3 * 3, 4)

    def forward(self, x, scale=2.0):
        y = F.relu(self.norm(self.conv(x)))
        y = self.fc(y.view(x.size(0), -1)) * scale
        y[:, 0] = 0
        y += distrt.ones(x.shape[0], 4)
        best, where = y.max(1)
        return {"out": F.log_softmax(y, dim=1), "pair": [best, where]}, y.T


def recorded() -> tuple[Small, Graph]:
    model = Small().eval()
    return model, record(model, (distrt.randn(2, 1, 5, 5),))


def test_a_replay_gives_what_the_module_gives_for_another_batch_size() -> None:
    model, graph = recorded()
    x = distrt.randn(7, 1, 5, 5)
    (named, t), (expected, expected_t) = replay(graph, (x,)), model(x)
    assert distrt.equal(named["out"], expected["out"]) and distrt.equal(t, expected_t)
    assert all(distrt.equal(a, b) for a, b in zip(named["pair"], expected["pair"], strict=True))


def test_nodes_carry_the_module_that_ran_them_and_the_line() -> None:
    _, graph = recorded()
    by_target = {node.target: node for node in graph.nodes}
    assert by_target["nn.functional.conv2d"].scope == "conv"
    norm = by_target["nn.functional.batch_norm"]
    assert (norm.scope, norm.module_type) == ("norm.0", "BatchNorm2d")
    assert by_target["ones"].scope == "" and "test_recorder.py:" in by_target["ones"].where
    assert norm.arguments["eps"] == 1e-5 and norm.arguments["training"] is False


def test_parameters_and_buffers_are_known_by_their_dotted_names() -> None:
    model, graph = recorded()
    assert set(graph.parameters) == {name for name, _ in model.named_parameters()}
    assert set(graph.buffers) == {"norm.0.running_mean", "norm.0.running_var"}
    assert graph.parameters["fc.weight"].tensor is model.fc.weight
    assert not graph.constants


def test_a_size_is_a_value_of_the_graph() -> None:
    graph = record(lambda x: x.reshape(x.shape[1:].numel() // 2, -1) + x.numel(), (distrt.ones(2, 3, 4),))
    assert replay(graph, (distrt.ones(2, 5, 4),)).shape == (10, 4)
    assert replay(graph, (distrt.ones(2, 5, 4),))[0, 0] == 41
    assert [value.type for node in graph.nodes for value in node.outputs][:2] == ["int", "int"]


@pytest.mark.parametrize(
    "spelling",
    [lambda x: x + 1, lambda x: distrt.add(x, 1), lambda x: x.add(1), lambda x: 1 + x],
)
def test_an_operator_a_method_and_a_function_are_one_operation(spelling) -> None:
    (node,) = record(spelling, (distrt.ones(2),)).nodes
    assert node.target == "add"


def test_only_the_outermost_call_is_written_down_unless_asked_otherwise() -> None:
    given = distrt.randn(3, 4), distrt.tensor([0, 1, 2])
    (node,) = record(F.cross_entropy, given).nodes
    assert node.target == "nn.functional.cross_entropy"
    inner = record(F.cross_entropy, given, see_through={"nn.functional.cross_entropy"})
    assert inner.nodes and all(each.target != node.target for each in inner.nodes)
    assert distrt.allclose(replay(inner, given), F.cross_entropy(*given))


def test_a_tensor_of_unknown_origin_is_a_constant() -> None:
    outside = distrt.tensor([1.0, 2.0])
    graph = record(lambda x: x * outside + distrt.tensor(3.0), (distrt.ones(2),))
    assert [value.tensor.tolist() for value in graph.constants.values()] == [[1.0, 2.0], 3.0]


@pytest.mark.parametrize(
    "leaving",
    [
        lambda x: x if x.sum() > 0 else -x,
        lambda x: x * float(x.sum()),
        lambda x: x * x.sum().item(),
        lambda x: x * len(x),
        lambda x: sum(each for each in x),
        lambda x: x if x.shape[0] > 1 else -x,
    ],
)
def test_a_value_that_leaves_the_recording_warns(leaving) -> None:
    with pytest.warns(TracerWarning, match="might cause the trace to be incorrect"):
        record(leaving, (distrt.ones(2),))


def test_the_layers_own_looks_at_sizes_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(nn.LSTM(3, 4), (distrt.randn(5, 2, 3),))
        record(nn.TransformerEncoderLayer(4, 2).eval(), (distrt.randn(5, 2, 4),))


def test_nothing_is_left_behind_by_a_recording_that_fails() -> None:
    x = distrt.ones(2)

    def fails(x: Tensor) -> Tensor:
        assert is_tracing()
        raise KeyError("no")

    with pytest.raises(KeyError):
        record(fails, (x,))
    assert type(x) is Tensor and not is_tracing() and sys.getprofile() is None
    assert type(x.shape[0]) is int


def test_gradients_flow_through_a_replay() -> None:
    model = nn.Linear(3, 2)
    graph = record(model, (distrt.ones(1, 3),))
    replay(graph, (distrt.ones(4, 3),)).sum().backward()
    assert model.weight.grad.tolist() == [[4.0] * 3] * 2


def test_no_function_stands_for_what_all_operations_do_at_their_first_call() -> None:
    """Their first calls run code that they have in common: whoever had its name would be recorded in their place."""
    operations = [each for each in vars(distrt.core.ops).values() if hasattr(each, "definition")]
    uncalled = [each for each in operations if not each.__code__.co_filename.startswith("<op ")]
    assert not [each.__name__ for each in uncalled if may_be_named(each.__code__)]
    assert record(distrt.diagonal_copy, distrt.ones(3, 3)).nodes[0].target == "diagonal_copy"


def test_every_name_in_the_table_is_found() -> None:
    names = list(names_of_targets())
    assert len(names) > 600 and all(callable(lookup(name)) for name in names)
    for name in ("os.system", "nn.functional.os", "Tensor.__reduce__", "Tensor.__class__", "load", ""):
        with pytest.raises(KeyError):
            lookup(name)


def test_values_have_the_shapes_and_dtypes_of_the_run() -> None:
    (node,) = record(lambda x: x.max(1), (distrt.zeros(2, 3),)).nodes
    first, second = node.outputs
    assert isinstance(first, Value) and first.at == (0,) and second.at == (1,)
    assert (first.shape, second.dtype) == ((2,), distrt.int64)


def test_functions_that_work_in_place_are_written_down():
    graph = record(lambda x: (F.relu_(x * 2), distrt.relu_(x * 3), distrt.selu_(x * 4)), distrt.ones(2))
    assert [node.target for node in graph.nodes][1::2] == ["Tensor.relu_", "Tensor.relu_", "Tensor.selu_"]
