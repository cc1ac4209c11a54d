"""What one looks at when a model does something else than it should: its layers, and where numbers go wrong.

``summary`` shows a model's modules with shapes, parameters, operations and memory; ``find_nonfinite`` stops at the
first operation that makes an infinity or NaN out of finite numbers, and names it, its module, its line and its rank.
"""

from distrt.debugging.nonfinite import NonFiniteError, find_nonfinite
from distrt.debugging.summaries import ModelSummary, summary

__all__ = ["ModelSummary", "NonFiniteError", "find_nonfinite", "summary"]
