"""The choices that ``onnx.export`` takes, in PyTorch's words."""

from __future__ import annotations

import enum

__all__ = ["OperatorExportTypes", "TrainingMode"]


class TrainingMode(enum.IntEnum):
    """In which mode a model is while it is exported; it is given back in the one that it came in.

    ``EVAL`` and ``TRAINING`` put it into that mode, ``PRESERVE`` leaves it in its own.
    """

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(enum.IntEnum):
    """What becomes of operations that ONNX does not have.

    ``ONNX`` and ``ONNX_FALLTHROUGH`` and ``ONNX_ATEN_FALLBACK`` all raise an error that names them: there is no runtime
    that would take PyTorch's operations from distrt. ``ONNX_ATEN`` is refused.
    """

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3
