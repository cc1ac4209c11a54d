"""PyTorch's ``torch.onnx``: models as ONNX files. Needs the ``onnx`` extra when it is used, not to be imported."""

from distrt.onnx import errors, utils, verification
from distrt.onnx.errors import OnnxExporterError
from distrt.onnx.exporting import export, is_in_onnx_export
from distrt.onnx.model import ONNXProgram
from distrt.onnx.options import OperatorExportTypes, TrainingMode
from distrt.onnx.utils import (
    register_custom_op_symbolic,
    select_model_mode_for_export,
    unregister_custom_op_symbolic,
)
from distrt.version import __version__ as producer_version

producer_name = "distrt"

__all__ = [
    "ONNXProgram",
    "OnnxExporterError",
    "OperatorExportTypes",
    "TrainingMode",
    "errors",
    "export",
    "is_in_onnx_export",
    "producer_name",
    "producer_version",
    "register_custom_op_symbolic",
    "select_model_mode_for_export",
    "unregister_custom_op_symbolic",
    "utils",
    "verification",
]
