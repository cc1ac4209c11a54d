"""A recorded forward pass as the graph that TensorBoard draws."""

from __future__ import annotations

from typing import Any

from distrt.tracing import Graph, Value

__all__ = ["drawn"]


def drawn(graph: Graph) -> Any:
    """A recording as TensorBoard's graph: a node for each value and each call, its name the path of its module."""
    from tensorboardX.proto.graph_pb2 import GraphDef
    from tensorboardX.proto.node_def_pb2 import NodeDef
    from tensorboardX.proto.versions_pb2 import VersionDef

    names: dict[int, str] = {}
    nodes = []
    given = [*graph.inputs, *graph.parameters.values(), *graph.buffers.values(), *graph.constants.values()]
    for value in given:
        scope = f"{value.kind}s/" if not value.path else ""
        names[id(value)] = f"{scope}{(value.path or value.name).replace('.', '/')}"
        nodes.append(NodeDef(name=names[id(value)], op=value.kind.title(), attr=_shapes([value])))
    for node in graph.nodes:
        outputs = node.outputs
        scope = f"{node.scope.replace('.', '/')}/" if node.scope else ""
        name = f"{scope}{outputs[0].name if outputs else node.target}"
        names |= {id(value): name for value in outputs}
        inputs = [names[id(value)] for value in node.inputs if id(value) in names]
        nodes.append(NodeDef(name=name, op=node.target, input=inputs, attr=_shapes(outputs)))
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def _shapes(values: list[Value]) -> dict[str, Any]:
    from tensorboardX.proto.attr_value_pb2 import AttrValue
    from tensorboardX.proto.tensor_shape_pb2 import TensorShapeProto

    shapes = [
        TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in value.shape]) for value in values
    ]
    return {"_output_shapes": AttrValue(list=AttrValue.ListValue(shape=shapes))}
