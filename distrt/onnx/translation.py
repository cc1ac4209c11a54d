"""Draws a recording: every node by its rule, constants computed at once, changes in place as new values."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules import RULES, Call
from distrt.onnx.sizes import changes_input
from distrt.tracing import Graph, Node, Value, lookup, map_nest, values_in

__all__ = ["draw", "rule_of"]

#: What draws random numbers is never computed beforehand.
_RANDOM = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like normal bernoulli multinomial poisson dropout "
    "alpha_dropout feature_dropout feature_alpha_dropout native_dropout rrelu".split()
)
#: Results of these lie in their input's memory.
_VIEWS = frozenset(
    "view reshape view_as reshape_as flatten ravel unflatten squeeze unsqueeze transpose swapaxes swapdims t permute "
    "movedim moveaxis expand expand_as broadcast_to split chunk unsafe_chunk unsafe_split split_with_sizes "
    "tensor_split unbind narrow select index diagonal contiguous Tensor.T Tensor.mT Tensor.detach Tensor.data "
    "Tensor.to Tensor.float Tensor.double Tensor.type_as".split()
)
#: These move their running statistics in training.
_STATISTICS = frozenset(
    "batch_norm instance_norm nn.functional.batch_norm nn.functional.instance_norm".split()
)


def draw(graph: Graph, drawing: Drawing, fold_weights: bool) -> None:
    """Adds a recording's operations to a drawing, which knows its inputs.

    Args:
        graph: the recording.
        drawing: what is added to.
        fold_weights: whether what depends on weights alone is computed now.

    Raises:
        UnsupportedOperatorError: naming the operation and its module.
    """
    _Translation(graph, drawing, fold_weights).run()


def rule_of(target: str) -> str | None:
    """The name that an operation's rule is found under; None where there is none."""
    if target in RULES:
        return target
    plain = target.removeprefix("Tensor.")
    if target.startswith("Tensor.") and plain.endswith("_") and plain.rstrip("_") in RULES:
        return plain.rstrip("_")
    return None


class _Translation:
    def __init__(self, graph: Graph, drawing: Drawing, fold_weights: bool) -> None:
        self._graph, self._g = graph, drawing
        known = [*graph.constants.values()]
        if fold_weights:
            known += [*graph.parameters.values(), *graph.buffers.values()]
        self._known = {value for value in known if value not in drawing.names}
        self._last_use: dict[Value, int] = {}
        for number, node in enumerate(graph.nodes):
            self._last_use.update(dict.fromkeys(node.inputs, number))
        self._last_use.update(dict.fromkeys(values_in(graph.result), len(graph.nodes)))
        self._memory: dict[Value, Value] = {}  # of a view: whose memory it lies in
        self._current: dict[Value, Value] = {}  # after a change in place: what the tensor is from then on

    def run(self) -> None:
        for number, node in enumerate(self._graph.nodes):
            self._g.at(node.scope, node.where)
            if self._is_measured(node) or self._is_computed_now(node):
                continue
            self._draw(node)
            self._note(node, number)

    def _is_measured(self, node: Node) -> bool:
        """A size that is the same in every run needs no node."""
        value = node.result
        return isinstance(value, Value) and value.type == "int" and not self._g.sizes.is_dynamic(value)

    @no_grad()
    def _is_computed_now(self, node: Node) -> bool:
        """Computes what depends on constants alone."""
        given = [
            each for each in node.inputs if not (each.type == "int" and not self._g.sizes.is_dynamic(each))
        ]
        name = node.target.rpartition(".")[2]
        if not all(each in self._known for each in given) or name in _RANDOM or changes_input(node):
            return False
        args, kwargs = map_nest((node.args, node.kwargs), self._plain)
        results = list(_tensors_in(lookup(node.target)(*args, **kwargs)))
        for value, tensor in zip(node.outputs, results, strict=True):
            value.tensor = tensor.detach()
            self._known.add(value)
        return True

    def _plain(self, leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return leaf.example if leaf.type == "int" else leaf.tensor
        return leaf

    def _draw(self, node: Node) -> None:
        g = self._g
        name = rule_of(node.target)
        if name is None:
            raise g.unsupported(f"the operation {node.target}")
        call = Call(node, map_nest(_arguments(node, name), g.plain))
        if name != node.target:
            call.target = name
        if isinstance(node.arguments.get("out"), Value):
            raise g.unsupported(f"{node.target} with out=")
        try:
            drawn = list(_flat(RULES[name](g, call)))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as fault:
            raise g.unsupported(f"{node.target} with such arguments ({fault})") from fault
        results = node.outputs
        if node.target == "Tensor.__setitem__":
            results = [node.args[0]]
        for value, given in zip(results, drawn, strict=True):
            g.names[value] = g.name_of(given)

    # -- changes in place

    def _note(self, node: Node, number: int) -> None:
        if node.target in _VIEWS and isinstance(node.args[0], Value):
            for value in node.outputs:
                self._memory[value] = self._owner(node.args[0])
        if node.target in _STATISTICS and (
            node.arguments.get("training") or node.arguments.get("use_input_stats")
        ):
            self._require_unused(node, number)
        if not changes_input(node) or not isinstance(node.args[0], Value):
            return
        changed = node.args[0]
        owner = self._owner(changed)
        same = {changed, *node.outputs}
        for other in [owner, *(view for view, base in self._memory.items() if base is owner)]:
            if other not in same and self._last_use.get(other, -1) > number:
                raise self._g.unsupported(
                    f"{node.target} changes %{changed.name} in place, whose memory %{other.name} shares, which is used "
                    "afterwards"
                )
        for value in node.outputs:
            self._memory[value] = owner
            self._g.names[changed] = self._g.names[value]
        self._known.discard(changed)

    def _require_unused(self, node: Node, number: int) -> None:
        """Running statistics, which the graph does not go on with, must not be looked at afterwards."""
        for name in ("running_mean", "running_var"):
            value = node.arguments.get(name)
            if value is not None and self._last_use.get(value, -1) > number:
                raise self._g.unsupported(f"{node.target} in training, whose {name} is used afterwards,")

    def _owner(self, value: Value) -> Value:
        return self._memory.get(value, value)


def _arguments(node: Node, name: str) -> dict[str, Any]:
    """The arguments by the names that the rule knows."""
    given = node.arguments
    if name != node.target:  # an in-place form, whose arguments are those of the operation
        bound = inspect.signature(lookup(name)).bind(*node.args, **node.kwargs)
        bound.apply_defaults()
        given = bound.arguments
    if "target" in given:  # which a call has of its own
        given = {**given, "target_": given["target"]}
    return dict(given)


def _flat(nest: Any) -> Iterator[Any]:
    if isinstance(nest, tuple | list):
        for each in nest:
            yield from _flat(each)
    else:
        yield nest


def _tensors_in(nest: Any) -> Iterator[Tensor]:
    return (each for each in _flat(nest) if isinstance(each, Tensor))
