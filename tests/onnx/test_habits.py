"""``onnx.export`` as scripts use it: sizes that values decide, what is warned of, ``verify``, and bad arguments."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import pytest

import distrt as torch
from distrt import nn
from tests.onnx.runtime import assert_same, run


class _Picks(nn.Module):
    """Sizes that values decide: they must be computed in the graph though no axis is dynamic."""

    def forward(self, x: Any) -> Any:
        chosen = x[x > 0]
        return x * chosen.shape[0], chosen.reshape(-1, 1).sum(), torch.nonzero(x).shape[0] + x


def test_sizes_that_follow_from_values_are_computed_in_the_graph() -> None:
    program = torch.onnx.export(_Picks(), torch.tensor([1.0, -1.0, 2.0]))
    for values in ([1.0, -1.0, 2.0], [-1.0, 0.0, 3.0], [1.0, 1.0, 1.0]):
        x = torch.tensor(values)
        assert_same(run(program, x), _Picks()(x))


def test_sizes_that_follow_from_values_and_never_change_are_warned_of() -> None:
    with pytest.warns(torch.jit.TracerWarning, match="nonzero .* gives as many elements as its values say"):
        torch.onnx.export(lambda x: x * torch.nonzero(x * 0 + 1).shape[0], torch.ones(3))


def test_the_control_flow_of_a_script_is_warned_of() -> None:
    def steps(x: Any) -> Any:
        if x.sum() > 0:
            return x
        return -x

    with pytest.warns(torch.jit.TracerWarning, match="Python boolean"):
        torch.onnx.export(torch.jit.script(steps), torch.ones(3))


def test_a_name_that_dynamic_axes_alone_has_is_warned_of() -> None:
    with pytest.warns(UserWarning, match="Provided key x for dynamic axes"):
        torch.onnx.export(nn.Linear(2, 2), torch.ones(1, 2), dynamic_axes={"x": {0: "batch"}})


def test_what_no_output_needs_is_not_warned_of() -> None:
    """A transformer looks whether its mask is causal, with one of the sizes at hand."""
    layer = nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), 1)

    def forward(x: Any) -> Any:
        return layer(x, mask=nn.Transformer.generate_square_subsequent_mask(x.size(1)))

    layer.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.onnx.export(forward, torch.ones(1, 3, 4), dynamic_axes={"x": {0: "batch", 1: "time"}})


def test_verify_compares_with_the_runtime() -> None:
    program = torch.onnx.export(nn.Linear(2, 2), torch.ones(1, 2), verify=True)
    assert program(torch.ones(1, 2))[0].shape == (1, 2)
    with pytest.warns(torch.onnx.errors.OnnxExporterWarning, match="large absolute difference"):
        torch.onnx.export(lambda x: x + torch.rand(2), torch.ones(2), verify=True)
    with pytest.raises(torch.onnx.OnnxExporterError, match="Failed to execute the model"):
        torch.onnx.export(nn.Linear(2, 2).bfloat16(), torch.ones(1, 2).bfloat16(), verify=True)


def test_verify_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModuleNotFoundError, match="pip install onnxruntime"):
        torch.onnx.export(nn.Linear(2, 2), torch.ones(1, 2), verify=True)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (({"a": 1}, torch.ones(1)), "got dict, which has weights and no forward pass"),
        ((nn.Linear(2, 2), torch.ones(1, 2), None, "11"), "opset_version must be an int, got str"),
    ],
)
def test_senseless_arguments_are_named(given: Any, message: str) -> None:
    model, args, file, opset = (*given, None, None)[:4]
    with pytest.raises(TypeError, match=message):
        torch.onnx.export(model, args, file, opset_version=opset)


def test_the_names_of_older_scripts_are_there() -> None:
    layer = nn.Linear(2, 2)
    with torch.onnx.utils.select_model_mode_for_export(layer, torch.onnx.TrainingMode.EVAL):
        assert not layer.training
    assert layer.training
    with pytest.raises(NotImplementedError, match="one rule for each"):
        torch.onnx.register_custom_op_symbolic("my::op", lambda g: None, 11)
    torch.onnx.unregister_custom_op_symbolic("my::op", 11)
