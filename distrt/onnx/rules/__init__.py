"""What each operation becomes in ONNX: ``table`` has the rules, the other files make them."""

from distrt.onnx.rules import (
    arithmetic,
    convolution,
    creation,
    elementwise,
    indexing,
    linear,
    losses,
    normalisation,
    pooling,
    recurrent,
    reductions,
    resampling,
    shapes,
)
from distrt.onnx.rules.table import RULES, Call

__all__ = [
    "RULES",
    "Call",
    "arithmetic",
    "convolution",
    "creation",
    "elementwise",
    "indexing",
    "linear",
    "losses",
    "normalisation",
    "pooling",
    "recurrent",
    "reductions",
    "resampling",
    "shapes",
]
