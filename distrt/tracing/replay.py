"""``replay``: does again, with other inputs, what a graph has written down."""

from __future__ import annotations

from typing import Any

from distrt.tracing.graph import Graph, Value, map_nest
from distrt.tracing.targets import lookup


def replay(graph: Graph, args: Any, kwargs: dict[str, Any] | None = None) -> Any:
    """What the recorded function gives for these arguments, if it calls the same operations.

    Raises:
        ValueError: where the arguments have another structure than the recorded ones.
    """
    args = tuple(args) if isinstance(args, tuple | list) else (args,)
    values: dict[Value, Any] = {}
    _bind(graph.arguments, (args, kwargs or {}), values)
    for table in (graph.parameters, graph.buffers, graph.constants):
        values.update({value: value.tensor for value in table.values()})

    def read(leaf: Any) -> Any:
        return values[leaf] if isinstance(leaf, Value) else leaf

    for node in graph.nodes:
        given = lookup(node.target)(*map_nest(node.args, read), **map_nest(node.kwargs, read))
        for value in node.outputs:
            values[value] = _picked(given, value.at)
    return map_nest(graph.result, read)


def _picked(result: Any, at: tuple[int | str, ...]) -> Any:
    for step in at:
        result = result[step]
    return result


def _bind(pattern: Any, given: Any, values: dict[Value, Any]) -> None:
    if isinstance(pattern, Value):
        values[pattern] = given
    elif isinstance(pattern, tuple | list):
        if not isinstance(given, tuple | list) or len(given) != len(pattern):
            raise ValueError(f"the recorded call had {len(pattern)} values here, got {given!r:.80}")
        for each, one in zip(pattern, given, strict=True):
            _bind(each, one, values)
    elif isinstance(pattern, dict):
        if not isinstance(given, dict) or given.keys() != pattern.keys():
            raise ValueError(f"the recorded call had {sorted(pattern)} here, got {given!r:.80}")
        for key, each in pattern.items():
            _bind(each, given[key], values)
