"""What one looks at when a model does something else than it should: its layers, and where numbers go wrong.

``summary`` shows a model's modules with shapes, parameters, operations and memory; ``find_nonfinite`` stops at the
first operation that makes an infinity or NaN out of finite numbers, and names it, its module, its line and its rank;
``check_gradients`` names parameters whose gradients have vanished or exploded; ``trace_shapes`` says what goes into
each module and what comes out.
"""

from distrt.debugging.gradients import GradientCheck, check_gradients
from distrt.debugging.nonfinite import NonFiniteError, find_nonfinite
from distrt.debugging.shapes import trace_shapes
from distrt.debugging.summaries import ModelSummary, summary

__all__ = [
    "GradientCheck",
    "ModelSummary",
    "NonFiniteError",
    "check_gradients",
    "find_nonfinite",
    "summary",
    "trace_shapes",
]
