"""What ``onnx.export`` raises."""

from __future__ import annotations

from distrt.core.errors import DistrtError

__all__ = ["OnnxExporterError", "UnsupportedOperatorError"]


class OnnxExporterError(DistrtError, RuntimeError):
    """A model that cannot be exported."""


class UnsupportedOperatorError(OnnxExporterError):
    """An operation that has no form in ONNX, or none that is known here."""
