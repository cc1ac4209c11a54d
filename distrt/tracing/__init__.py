"""The recorder of operations: what a function does with its tensors, as a graph. ``jit`` and ``onnx`` read it.

``record`` runs a function and writes down each call of an operation, with the module that made it; ``replay`` does it
again with other inputs. docs/jit.md describes the graph.
"""

from distrt.tracing.graph import Graph, Node, Value, map_nest, values_in
from distrt.tracing.recorder import is_tracing, record
from distrt.tracing.replay import replay
from distrt.tracing.targets import lookup
from distrt.tracing.traced import TracerWarning

__all__ = [
    "Graph",
    "Node",
    "TracerWarning",
    "Value",
    "is_tracing",
    "lookup",
    "map_nest",
    "record",
    "replay",
    "values_in",
]
