"""Saving and loading the state of a module."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

import distrt as torch
from distrt import nn


def _model() -> Any:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def test_state_is_live_and_outside_the_graph() -> None:
    model = _model()
    state = model.state_dict()
    assert isinstance(state, OrderedDict)
    assert not state["0.weight"].requires_grad
    assert np.shares_memory(state["0.weight"].numpy(), model[0].weight.detach().numpy())
    assert model.state_dict(keep_vars=True)["0.weight"] is model[0].weight
    assert next(iter(model.state_dict(prefix="a."))) == "a.0.weight"


def test_loading_copies_values_into_the_same_parameters() -> None:
    source, target = _model(), _model()
    parameter, buffer = target[0].weight, target[1].running_mean
    source[1].running_mean.add_(3)
    source[1].num_batches_tracked.add_(5)
    result = target.load_state_dict(source.state_dict())
    assert repr(result) == "<All keys matched successfully>"
    assert target[0].weight is parameter
    assert parameter.tolist() == source[0].weight.tolist()
    assert buffer.tolist() == [3.0, 3.0, 3.0]
    assert target[1].num_batches_tracked.item() == 5
    source[0].weight.data.add_(1)
    assert parameter.tolist() != source[0].weight.tolist()


def test_loading_converts_the_dtype() -> None:
    target = _model()
    target.load_state_dict(_model().double().state_dict())
    assert target[0].weight.dtype is torch.float32


def test_strict_loading_lists_every_problem_and_copies_what_fits() -> None:
    model = _model()
    before = model[0].bias.tolist()
    state = model.state_dict()
    state["0.bias"] = state["0.bias"] + 1
    del state["1.weight"]
    state["extra"] = torch.ones(1)
    state["0.weight"] = torch.ones(5, 2)
    with pytest.raises(RuntimeError) as failed:
        model.load_state_dict(state)
    text = str(failed.value)
    assert text.startswith("Error(s) in loading state_dict for Sequential:\n\t")
    assert 'Missing key(s) in state_dict: "1.weight". ' in text
    assert 'Unexpected key(s) in state_dict: "extra". ' in text
    assert "size mismatch for 0.weight: copying a param with shape torch.Size([5, 2]) from checkpoint" in text
    assert model[0].bias.tolist() != before


def test_lax_loading_takes_what_fits_by_name() -> None:
    model = _model()
    result = model.load_state_dict({"0.bias": torch.ones(3), "extra": torch.ones(1)}, strict=False)
    assert result.unexpected_keys == ["extra"]
    assert "0.weight" in result.missing_keys
    assert model[0].bias.tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(RuntimeError, match="size mismatch"):
        model.load_state_dict({"0.bias": torch.ones(4)}, strict=False)


def test_loading_with_assign_takes_the_given_memory_and_dtype() -> None:
    model = _model()
    given = torch.ones(3, dtype=torch.float64)
    model.load_state_dict({"0.bias": given}, strict=False, assign=True)
    assert model[0].bias.dtype is torch.float64
    assert np.shares_memory(model[0].bias.detach().numpy(), given.numpy())


def test_loading_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="dict-like"):
        _model().load_state_dict([1])


def test_buffers_that_are_not_persistent_stay_out() -> None:
    module = nn.Module()
    module.register_buffer("kept", torch.ones(1))
    module.register_buffer("scratch", torch.ones(1), persistent=False)
    assert list(module.state_dict()) == ["kept"]
    assert not module.load_state_dict({"kept": torch.zeros(1)}).unexpected_keys
    del module.scratch
    module.register_buffer("scratch", torch.ones(1))
    assert list(module.state_dict()) == ["kept", "scratch"]


def test_text_and_messages_equal_pytorchs(torch: Any) -> None:
    """The fixture is PyTorch: its words for the same mistakes."""
    texts = []
    for layers in (nn, torch.nn):
        model = layers.Sequential(layers.Linear(2, 3), layers.Linear(3, 1))
        state = model.state_dict()
        del state["0.bias"]
        state["zzz"] = state["1.bias"]
        state["1.weight"] = state["0.weight"]
        try:
            model.load_state_dict(state)
        except RuntimeError as fault:
            texts.append(str(fault))
        texts[-1] += repr(model.load_state_dict({"0.bias": model[0].bias.detach()}, strict=False))
    assert texts[0] == texts[1]
