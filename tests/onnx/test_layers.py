"""Every line of the table of layers as an ONNX model: onnxruntime gives the same numbers, with other batch sizes, too.

What cannot be exported is listed with what its error says; a layer that is neither here nor right fails.
"""

import warnings

import numpy as np
import pytest

import distrt
from distrt.onnx import OnnxExporterError
from tests.onnx.runtime import assert_same, call, copied, leaves, run
from tests.oracle.layer_table import LAYERS, load

load()
pytestmark = pytest.mark.filterwarnings("ignore")  # of layers, about their inputs

#: Part of a layer's text -> what its error says. Nothing else may fail.
LEFT_OUT = {
    "CTCLoss": "the operation ctc_loss",
    "MultiLabelMarginLoss": "the operation multilabel_margin_loss",
    "FractionalMaxPool": "the operation fractional_max_pool",
    "proj_size=": "an LSTM with a projection",
    "AdaptiveMaxPool": "indices of adaptive max pooling with uneven windows",
    "AdaptiveLogSoftmaxWithLoss": "the operation index_copy",
    "ConvTranspose2d(4, 6, 3, 1, 1, 2, 1, True, 3)": "output_padding that is not below its stride",
    "out_features=(": "linear_cross_entropy of more than two dims",
}
#: Before these opsets.
SINCE = {"Bilinear": (12, "bilinear"), "nn.Fold(": (18, "fold")}
#: Dims of the batch, where it is not the first.
BATCH_DIM = {
    layer.text: 1
    for layer in LAYERS
    if layer.kind in ("RNN", "LSTM", "GRU", "MultiheadAttention") or "Transformer" in layer.kind
    if "batch_first=True" not in layer.text and ", True)" not in layer.text
}


def calls_of(layer):
    """The calls of a line whose tensors are not empty; onnxruntime divides by zero there."""
    for text in layer.calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args, kwargs = layer.arguments(distrt, text, "float32", 0)
            given = leaves((args, kwargs))
            try:
                expected = call(layer.make(distrt), *args, **kwargs)
            except Exception:  # float64 layers, which take no float32
                continue
        if given and all(each.numel() for each in given):
            yield tuple(args), kwargs, expected


def check(layer, opset):
    allowed = [text for part, text in LEFT_OUT.items() if part in layer.text]
    allowed += [text for part, (since, text) in SINCE.items() if part in layer.text and opset < since]
    model = layer.make(distrt).eval()
    for args, kwargs, _ in calls_of(layer):
        expected = call(model, *args, **kwargs)
        try:
            program = distrt.onnx.export(model, copied(args), kwargs=copied(kwargs), opset_version=opset)
        except OnnxExporterError as error:
            assert any(text in str(error) for text in allowed), error
            continue
        assert_same(run(program, *leaves((args, kwargs))), expected)


FEW = LAYERS[::23]


@pytest.mark.parametrize("layer", FEW, ids=str)
def test_some_layers_give_the_same_numbers_in_onnxruntime(layer):
    check(layer, 18)


@pytest.mark.ci
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_layer_gives_the_same_numbers_in_onnxruntime(layer):
    check(layer, 18)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [11, 13, 21])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_layer_gives_the_same_numbers_at_other_opsets(layer, opset):
    check(layer, opset)


def grown(nest, tensors, dims, size):
    """A nest with three more rows, which are the first again, in the batch dim of each tensor that has one."""
    if isinstance(nest, tuple | list):
        return type(nest)(grown(each, tensors, dims, size) for each in nest)
    if isinstance(nest, dict):
        return {key: grown(each, tensors, dims, size) for key, each in nest.items()}
    dim = next((dim for tensor, dim in zip(tensors, dims, strict=True) if tensor is nest), None)
    if dim is None:
        return nest
    return distrt.tensor(np.take(nest.detach().numpy(), np.arange(size + 3) % size, dim))


@pytest.mark.ci
@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_every_layer_takes_other_batch_sizes(layer):
    model = layer.make(distrt).eval()
    for args, kwargs, _ in calls_of(layer):
        tensors = leaves((args, kwargs))
        batch = min(BATCH_DIM.get(layer.text, 0), tensors[0].dim() - 1)
        if tensors[0].dim() < 2:
            continue
        size = tensors[0].shape[batch]
        dims = [batch if each.dim() > batch and each.shape[batch] == size else None for each in tensors]
        more = grown((args, kwargs), tensors, dims, size)
        try:
            expected = call(model, *more[0], **more[1])
        except Exception:  # the layer itself takes no other batch
            continue
        names = [f"x{number}" for number in range(len(tensors))]
        axes = {name: {dim: "batch"} for name, dim in zip(names, dims, strict=True) if dim is not None}
        try:
            program = distrt.onnx.export(
                model, copied(args), kwargs=copied(kwargs), input_names=names, dynamic_axes=axes
            )
        except OnnxExporterError as error:
            assert any(part in layer.text and text in str(error) for part, text in LEFT_OUT.items()), error
            continue
        assert_same(run(program, *leaves(more)), expected)
