"""What ``onnx.export`` raises."""

from __future__ import annotations

from distrt.core.errors import DistrtError

__all__ = ["OnnxExporterError", "OnnxExporterWarning", "UnsupportedOperatorError"]


class OnnxExporterError(DistrtError, RuntimeError):
    """A model that cannot be exported."""


class OnnxExporterWarning(UserWarning):
    """A model that was exported, but may not be what it was meant to be."""


class UnsupportedOperatorError(OnnxExporterError):
    """An operation that has no form in ONNX, or none that is known here."""
