"""Runs exported models in onnxruntime, and compares them with the models themselves."""

import numpy as np
import pytest

import distrt
from tests.oracle.layer_table import tensors_in

onnx = pytest.importorskip("onnx", reason="the onnx package is not installed: pip install 'distrt[onnx]'")
onnxruntime = pytest.importorskip(
    "onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime"
)

_options = onnxruntime.SessionOptions()
_options.intra_op_num_threads = 1
_options.log_severity_level = 4


def session(model):
    """A model, a path or an exported program, in onnxruntime."""
    if hasattr(model, "model_proto"):
        model = model.model_proto.SerializeToString()
    return onnxruntime.InferenceSession(model, _options, providers=["CPUExecutionProvider"])


def run(model, *inputs):
    """What onnxruntime gives for these tensors, in the order of the model's inputs."""
    ready = session(model)
    names = [each.name for each in ready.get_inputs()]
    return ready.run(None, {name: each.detach().numpy() for name, each in zip(names, inputs, strict=True)})


def leaves(nest):
    """All tensors of a nest, in order."""
    if isinstance(nest, tuple | list):
        return [tensor for each in nest for tensor in leaves(each)]
    if isinstance(nest, dict):
        return [tensor for each in nest.values() for tensor in leaves(each)]
    return [nest] if isinstance(nest, distrt.Tensor) else []


def assert_same(found, expected, rtol=2e-4, atol=2e-5):
    """The arrays of onnxruntime are the tensors of the model, shapes and dtypes included."""
    expected = [each.detach().numpy() for each in tensors_in(expected)]
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape and mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol)


def call(model, *args, **kwargs):
    """What the model gives in eval mode, of copies of its inputs, which layers may change."""
    model.eval()
    with distrt.no_grad():
        return model(*copied(args), **copied(kwargs))


def copied(nest):
    """A nest with copies of its tensors."""
    if isinstance(nest, tuple | list):
        return type(nest)(copied(each) for each in nest)
    if isinstance(nest, dict):
        return {key: copied(each) for key, each in nest.items()}
    return nest.detach().clone() if isinstance(nest, distrt.Tensor) else nest


def kinds(program):
    """The kinds of a model's nodes, in order."""
    return [node.op_type for node in program.model_proto.graph.node]
