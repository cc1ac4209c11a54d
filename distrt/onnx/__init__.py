"""PyTorch's ``torch.onnx``: models as ONNX files. Needs the ``onnx`` extra when it is used, not to be imported."""

from distrt.onnx import errors
from distrt.onnx.errors import OnnxExporterError
from distrt.onnx.exporting import export, is_in_onnx_export
from distrt.onnx.model import ONNXProgram
from distrt.onnx.options import OperatorExportTypes, TrainingMode

__all__ = [
    "ONNXProgram",
    "OnnxExporterError",
    "OperatorExportTypes",
    "TrainingMode",
    "errors",
    "export",
    "is_in_onnx_export",
]
