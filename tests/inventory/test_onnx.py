"""Area R's rows of ONNX: a model as the documents export it."""

from __future__ import annotations

from typing import Any

import pytest

import distrt as torch
from distrt import nn
from tests.inventory.rows import covers


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2)
        )
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(4 * 4 * 4, 5)

    def forward(self, x: Any) -> Any:
        x = self.features(x)
        return self.fc(self.dropout(x.view(x.size(0), -1)))


@covers("R7", "R8", "R9")
def test_a_network_gives_the_same_numbers_for_any_batch_size(tmp_path: Any) -> None:
    onnx = pytest.importorskip("onnx", reason="the onnx package is not installed: pip install 'distrt[onnx]'")
    ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime")
    model, path = Net(), str(tmp_path / "model.onnx")
    model(torch.randn(4, 3, 8, 8))  # statistics that are not those of a new layer
    torch.onnx.export(
        model,
        torch.randn(1, 3, 8, 8),
        path,
        export_params=True,
        opset_version=11,
        input_names=["input"],
        output_names=["output"],
        dynamic_axes={"input": {0: "batch_size"}, "output": {0: "batch_size"}},
    )
    assert model.training and model.features[1].training
    written = onnx.load(path)
    onnx.checker.check_model(written)
    assert [(each.domain, each.version) for each in written.opset_import] == [("", 11)]
    shapes = [
        [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim]
        for each in (*written.graph.input, *written.graph.output)
    ]
    assert shapes == [["batch_size", 3, 8, 8], ["batch_size", 5]]
    weights = {each.name for each in written.graph.initializer}
    assert {"features.0.weight", "features.1.running_var", "fc.weight", "fc.bias"} <= weights
    assert [node.op_type for node in written.graph.node] == [
        *"Conv BatchNormalization Relu MaxPool Reshape Gemm".split()
    ]
    assert written.graph.node[0].name == "/features/0/Conv"
    session = ort.InferenceSession(path)
    model.eval()
    for size in (1, 2, 7):
        x = torch.randn(size, 3, 8, 8)
        (found,) = session.run(None, {"input": x.numpy()})
        torch.testing.assert_close(torch.from_numpy(found), model(x).detach(), rtol=1e-4, atol=1e-5)
