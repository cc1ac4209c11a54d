"""Area H: modules; area K: containers and parameters."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import pytest

import distrt as torch
from distrt import nn
from tests.inventory.rows import covers
from tests.oracle.scripts import assert_same_outcomes


class Net(nn.Module):
    """A small network as a tutorial writes it."""

    def __init__(self) -> None:
        super(Net, self).__init__()  # noqa: UP008 - one of the two ways that users write it
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(2 * 36, 10)

    def forward(self, x: Any) -> Any:
        return self.fc(self.dropout(self.features(x)))


@covers("H1")
def test_init_must_be_called_first() -> None:
    class Hasty(nn.Module):
        def __init__(self) -> None:
            self.fc = nn.Linear(1, 1)

    class Modern(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\) call"):
        Hasty()
    assert len(list(Modern().parameters())) == 2 and len(list(Net().parameters())) == 6


@covers("H2")
def test_forward_is_called_between_the_hooks() -> None:
    model, seen = Net().eval(), []
    x = torch.randn(4, 1, 8, 8)
    model.fc.register_forward_hook(lambda module, args, output: seen.append(output.shape))
    assert model(x).shape == (4, 10) and seen == [(4, 10)]
    with pytest.raises(NotImplementedError):
        nn.Module()(x)


@covers("H3")
def test_printed_models_are_pytorchs(torch: Any) -> None:
    script = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten())
        self.dropout = nn.Dropout(0.5)
        self.blocks = nn.ModuleList([nn.Linear(2, 2) for _ in range(6)])
        self.heads = nn.ModuleDict({'a': nn.Linear(2, 1, bias=False)})
        self.fc = nn.Linear(72, 10)
print(Net()), repr(Net()), str(Net())
"""
    assert_same_outcomes(script, torch)


@covers("H4", "H15")
def test_parameters_in_order_of_registration() -> None:
    model = Net()
    assert [name for name, _ in model.named_parameters()] == [
        "features.0.weight",
        "features.0.bias",
        "features.1.weight",
        "features.1.bias",
        "fc.weight",
        "fc.bias",
    ]
    assert str(next(model.parameters()).device) == "cpu"
    total = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert f"{total:,}" == f"{18 + 2 + 4 + 720 + 10:,}"


@covers("H5", "H11")
def test_children_and_modules() -> None:
    model, seen = Net(), []
    assert [name for name, _ in model.named_children()] == ["features", "dropout", "fc"]
    assert list(model.children()) == [model.features, model.dropout, model.fc]
    assert len(list(model.modules())) == 8
    assert len(list(nn.Sequential(model.fc, model.fc).modules())) == 2

    def init_weights(module: nn.Module) -> None:
        seen.append(type(module).__name__)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    assert model.apply(init_weights) is model
    assert seen[-1] == "Net" and seen.index("Conv2d") < seen.index("Sequential")
    assert not model.fc.bias.any()


@covers("H6", "H7")
def test_state_aliases_the_weights() -> None:
    model = Net()
    state = model.state_dict()
    assert list(state)[:3] == ["features.0.weight", "features.0.bias", "features.1.weight"]
    assert "features.1.running_mean" in state and "features.1.num_batches_tracked" in state
    assert not any(value.requires_grad for value in state.values())
    best, kept = state.copy(), copy.deepcopy(state)
    with torch.no_grad():
        model.fc.bias.fill_(7)
    assert best["fc.bias"].eq(7).all() and not kept["fc.bias"].eq(7).any()


@covers("H8")
def test_state_is_loaded_into_the_same_tensors() -> None:
    source, target = Net(), Net()
    weight = target.fc.weight
    assert str(target.load_state_dict(source.state_dict())) == "<All keys matched successfully>"
    assert target.fc.weight is weight and weight.eq(source.fc.weight).all()
    broken = source.state_dict()
    broken["extra"] = broken.pop("fc.bias")
    broken["fc.weight"] = torch.ones(2, 2)
    with pytest.raises(RuntimeError) as failed:
        target.load_state_dict(broken)
    for part in ('Missing key(s) in state_dict: "fc.bias"', 'Unexpected key(s) in state_dict: "extra"'):
        assert part in str(failed.value)
    assert "size mismatch for fc.weight" in str(failed.value)
    result = target.load_state_dict({"extra": torch.ones(1)}, strict=False)
    assert result.unexpected_keys == ["extra"] and "fc.bias" in result.missing_keys


@covers("H9")
def test_train_and_eval_change_dropout_and_batch_norm() -> None:
    model, x = Net(), torch.randn(4, 1, 8, 8)
    assert model.training and model.eval() is model and not model.features[1].training
    assert model(x).eq(model(x)).all()
    assert model.train() is model and model.dropout.training
    assert not model(x).eq(model(x)).all()


@covers("H10")
def test_moving_keeps_the_parameters() -> None:
    model = Net()
    weight = model.fc.weight
    assert model.to("cpu") is model and model.cpu() is model and model.to(torch.device("cpu")) is model
    assert model.double().fc.weight is weight and weight.dtype is torch.float64
    if not torch.cuda.is_available():
        with pytest.raises((RuntimeError, AssertionError)):
            model.cuda()


@covers("H12")
def test_zero_grad_forgets_gradients() -> None:
    model = Net()
    model(torch.randn(2, 1, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


@covers("H13")
def test_a_layer_can_be_replaced() -> None:
    model = Net()
    model.fc = nn.Linear(model.fc.in_features, 3)
    assert model(torch.randn(2, 1, 8, 8)).shape == (2, 3)
    assert [name for name, _ in model.named_children()] == ["features", "dropout", "fc"]
    assert dict(model.named_parameters())["fc.weight"].shape == (3, 72)


@covers("H14", "K1", "K2")
def test_sequential_is_a_list_with_names() -> None:
    model = nn.Sequential(*[nn.Linear(2, 2), nn.ReLU(), nn.ReLU(), nn.Linear(2, 1)])
    assert list(model.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"]
    assert model[-1].out_features == 1 and len(model[:2]) == 2 and isinstance(model[:2], nn.Sequential)
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "ReLU", "Linear"]
    named = nn.Sequential(OrderedDict([("fc1", nn.Linear(2, 2)), ("relu", nn.ReLU())]))
    assert list(named.state_dict()) == ["fc1.weight", "fc1.bias"] and named.relu is named[1]
    assert named(torch.ones(1, 2)).shape == (1, 2)


@covers("K3", "K4", "K5")
def test_lists_dictionaries_and_attributes_register() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(2)])
            self.layers.append(nn.Linear(2, 2))
            self.heads = nn.ModuleDict({"age": nn.Linear(2, 1), "sex": nn.Linear(2, 2)})
            self.scale = nn.Parameter(torch.ones(1))
            self.plain = [nn.Linear(1, 1)]

        def forward(self, x: Any, task: str) -> Any:
            for layer in self.layers:
                x = layer(x)
            return self.heads[task](self.layers[0](x)) * self.scale

    model = Heads()
    assert list(model.heads.keys()) == ["age", "sex"] and len(model.layers) == 3
    assert [name for name, _ in model.named_parameters()][:3] == ["scale", "layers.0.weight", "layers.0.bias"]
    assert len(list(model.parameters())) == 1 + 6 + 4
    assert model(torch.ones(4, 2), "sex").shape == (4, 2)
    with pytest.raises(TypeError, match="cannot assign 'torch.FloatTensor' as parameter 'scale'"):  # noqa: RUF043
        model.scale = torch.ones(1)
