"""Writes a drawing as an ONNX model. Only this file needs the ``onnx`` package, which it imports when it is used."""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distrt.core.dtypes import dtype as dt
from distrt.core.tensor import Tensor
from distrt.onnx.drawing import Drawing, DrawnNode
from distrt.onnx.errors import OnnxExporterError
from distrt.version import __version__

__all__ = ["NEWEST", "OLDEST", "Port", "built", "library"]

#: The versions of ONNX's operators that the rules are made and tested for.
OLDEST, NEWEST = 11, 21
_MOST_BYTES = 2**31 - 1


@dataclass
class Port:
    """An input or output of the model.

    Attributes:
        name: its name.
        dtype: of its elements.
        sizes: numbers; names where any number is allowed; None where it is not known.
    """

    name: str
    dtype: dt.dtype
    sizes: Sequence[int | str | None]


def library() -> Any:
    """The ``onnx`` package.

    Raises:
        ModuleNotFoundError: naming the extra that brings it.
    """
    try:
        return importlib.import_module("onnx")
    except ModuleNotFoundError as missing:
        if missing.name != "onnx":
            raise
        raise ModuleNotFoundError(
            "onnx.export needs the onnx package, which is not installed: pip install 'distrt[onnx]' (or onnx)",
            name="onnx",
        ) from None


def built(
    drawing: Drawing, name: str, inputs: Sequence[Port], outputs: Sequence[Port], weights_as_inputs: bool
) -> Any:
    """The model, checked by ONNX's own checker.

    Raises:
        OnnxExporterError: for a model of 2 GB or more.
    """
    onnx = library()
    nodes, used = _needed(drawing, {port.name for port in outputs})
    constants = {key: array for key, array in drawing.constants.items() if key in used}
    size = sum(array.nbytes for array in constants.values())
    if size > _MOST_BYTES:
        raise OnnxExporterError(
            f"the weights have {size} bytes; one ONNX file holds no more than {_MOST_BYTES}"
        )
    ports = list(inputs)
    if weights_as_inputs:
        ports += [Port(key, dt.of(array), array.shape) for key, array in constants.items()]
    graph = onnx.helper.make_graph(
        [_node(onnx, each) for each in nodes],
        name,
        [_port(onnx, each) for each in ports],
        [_port(onnx, each) for each in outputs],
        [onnx.numpy_helper.from_array(array, key) for key, array in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid("", drawing.opset)]
    model = onnx.helper.make_model(
        graph,
        opset_imports=opsets,
        producer_name="distrt",
        producer_version=__version__,
        ir_version=max(7, onnx.helper.find_min_ir_version_for(opsets)),
    )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as fault:
        raise OnnxExporterError(f"the model uses an operation as ONNX does not have it: {fault}") from fault
    return model


def _needed(drawing: Drawing, wanted: set[str]) -> tuple[list[DrawnNode], set[str]]:
    """The nodes that outputs depend on, and the names that they use."""
    used, kept = set(wanted), []
    for node in reversed(drawing.nodes):
        if used.intersection(node.outputs):
            kept.append(node)
            used.update(node.inputs)
    return kept[::-1], used


def _node(onnx: Any, node: DrawnNode) -> Any:
    attributes = {
        key: _element_type(onnx, each) if isinstance(each, dt.dtype) else each
        for key, each in node.attributes.items()
    }
    return onnx.helper.make_node(node.kind, node.inputs, node.outputs, node.name, **attributes)


def _port(onnx: Any, port: Port) -> Any:
    return onnx.helper.make_tensor_value_info(port.name, _element_type(onnx, port.dtype), list(port.sizes))


def _element_type(onnx: Any, dtype: dt.dtype) -> int:
    return int(onnx.helper.np_dtype_to_tensor_dtype(dtype.numpy))


class ONNXProgram:
    """An exported model.

    Attributes:
        model_proto: the model, as ``onnx`` has it.
    """

    def __init__(self, model_proto: Any) -> None:
        self.model_proto = model_proto

    def __call__(self, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The outputs that onnxruntime gives for these arguments.

        Raises:
            ModuleNotFoundError: without the ``onnxruntime`` package.
        """
        from distrt.onnx.verification import run

        return run(self, args, kwargs)

    def optimize(self) -> None:
        """Nothing: what depends on constants alone was computed when the model was exported."""

    def save(self, destination: Any) -> None:
        """Writes the model to a path, where it is replaced as a whole or not at all, or to a file that is open."""
        from distrt.files.atomic import replace_whole

        data = self.model_proto.SerializeToString()
        if isinstance(destination, str | os.PathLike):
            replace_whole(os.fspath(destination), lambda file: file.write(data))
        else:
            destination.write(data)

    def __repr__(self) -> str:
        return f"ONNXProgram(\n{library().printer.to_text(self.model_proto)})"


ONNXProgram.__module__ = "distrt.onnx"
