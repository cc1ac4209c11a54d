"""The graph: one ``Node`` per recorded operation, one ``AccumulateGrad`` per leaf.

An *edge* is ``(node, number of the output)``. A tensor holds the edge that made it, a node holds the edges of its
inputs, so references point from results to inputs only and a graph is freed by reference counting.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from distrt.core.errors import AutogradError

if TYPE_CHECKING:
    from distrt.core.op import Definition
    from distrt.core.tensor import Tensor

Edge = tuple["Node | AccumulateGrad", int]

#: Hooks by the number of their registration, in which order they run.
Hooks = dict[float, Callable[..., Any]]
RUNS_LAST = math.inf  # retain_grad keeps what the hooks have made of the gradient

#: Where a node keeps the hooks on itself, beside those on its outputs' gradients.
BEFORE, AFTER = -1, -2

#: Creation order of nodes. The engine runs the newest first, which is the same order on every rank.
next_sequence = itertools.count().__next__

FREED: Any = object()

SECOND_TIME = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again."""

    _next_number = itertools.count().__next__

    def __init__(self, hooks: Hooks, hook: Any) -> None:
        self._hooks = hooks
        self._number = self._next_number()
        hooks[self._number] = hook

    @property
    def id(self) -> int:
        """The number of this registration."""
        return self._number

    def remove(self) -> None:
        """Takes the hook away; once is enough, twice does no harm."""
        self._hooks.pop(self._number, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class GraphNode:
    """What users can ask of every node of a graph, ``AccumulateGrad`` included."""

    __slots__ = ("__weakref__", "_metadata", "hooks", "sequence")

    #: A user's ``autograd.Function`` made it: its views cannot be changed in place, and it runs on tensors.
    is_custom = False

    _metadata: dict[str, Any]
    hooks: dict[int, Hooks] | None
    sequence: int

    def name(self) -> str:
        """The node's name as PyTorch prints it: ``MulBackward0``."""
        raise NotImplementedError

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for whoever wants to note something about this node; anomaly mode does."""
        try:
            return self._metadata
        except AttributeError:
            self._metadata = {}
            return self._metadata

    def hooks_of(self, number: int) -> Hooks:
        """The hooks on the gradient of one output, or on the node (``BEFORE``, ``AFTER``), to add to."""
        if self.hooks is None:
            self.hooks = {}
        return self.hooks.setdefault(number, {})

    def register_hook(self, hook: Callable[[Any, Any], Any]) -> RemovableHandle:
        """Calls ``hook(grad_inputs, grad_outputs)`` after the node has run; a tuple returned replaces the former."""
        return RemovableHandle(self.hooks_of(AFTER), hook)

    def register_prehook(self, hook: Callable[[Any], Any]) -> RemovableHandle:
        """Calls ``hook(grad_outputs)`` before the node runs; a tuple that it returns replaces them."""
        return RemovableHandle(self.hooks_of(BEFORE), hook)

    def shown(self) -> Sequence[int]:
        """Which edges users see, and in which order: none of a leaf."""
        return ()

    def _sequence_nr(self) -> int:
        return self.sequence

    def __repr__(self) -> str:
        return f"<{self.name().rpartition('::')[2]} object at {id(self):#x}>"


class Node(GraphNode):
    """One recorded operation: what its derivative rules need, and where their results go.

    Attributes:
        edges: for each tensor input, the edge that receives its gradient, or None where none is wanted.
        metas: for each tensor input, its (shape, NumPy dtype).
        saved: the values that the rules name, in the order of ``definition.kept``.
        counters, stamp: the version counters of the kept arrays, and the sum of their values when kept.
        hooks: on the gradient of each output, by its number; None where there are none.
        sequence: the number in order of creation.

    It has no ``__init__``: the code that ``core/op.py`` writes fills it, which saves a call for every operation.
    """

    __slots__ = ("counters", "definition", "edges", "metas", "saved", "stamp")

    definition: Definition
    edges: tuple[Edge | None, ...]
    metas: tuple[Any, ...]
    saved: Any
    counters: tuple[list[int], ...]
    stamp: int

    def name(self) -> str:
        """The operation's name as PyTorch prints it: ``MulBackward0``."""
        from distrt.core.op import node_name

        definition = self.definition
        if definition.name_of is None:
            return definition.node_name
        return node_name(definition.name_of(self), definition.name)

    def ndim_of(self, name: str) -> int | None:
        """How many dims a tensor had that the operation was given; None where nothing was kept of it."""
        meta = self.metas[self.definition.tensors.index(name)]
        if meta is not None:
            return len(meta[0])
        return getattr(self.given(name), "ndim", None) if name in self.definition.kept else None

    def given(self, name: str) -> Any:
        """What was kept of an argument; None where it was let go."""
        saved: Any = self.saved
        return None if saved is FREED else saved[self.definition.kept.index(name)]

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The edges to the nodes that this one passes gradients to; ``(None, 0)`` where none is wanted."""
        return tuple(self.edges[place] or (None, 0) for place in self.shown())

    def shown(self) -> Sequence[int]:
        """PyTorch's order, where its operation takes its inputs in another one."""
        order = self.definition.shown
        return range(len(self.edges)) if order is None else order(self)

    def take_saved(self, keep_graph: bool) -> tuple[Any, ...]:
        """The kept values, checked; they are let go unless the graph is to be kept.

        Raises:
            AutogradError: when they were let go before, or an in-place operation has changed one of them.
        """
        saved: tuple[Any, ...] = self.saved
        if saved is FREED:
            raise AutogradError(SECOND_TIME)
        if self.counters:
            stamp = 0
            for counter in self.counters:
                stamp += counter[0]
            if stamp != self.stamp:
                from distrt.core.autograd.complaint import changed_in_place

                raise changed_in_place(self)
            if not keep_graph:
                self.saved = FREED
        elif not keep_graph and self.definition.keeps_arrays:
            self.saved = FREED
        return saved


class AccumulateGrad(GraphNode):
    """The end of a path: adds what arrives to its leaf's ``.grad``.

    It refers to the leaf weakly: the leaf owns it, and nobody can see the gradient of a leaf that is gone.
    """

    __slots__ = ("_leaf", "post_hooks")

    def __init__(self, leaf: Tensor) -> None:
        self._leaf = weakref.ref(leaf)
        self.hooks = None
        self.post_hooks: Hooks = {}
        self.sequence = next_sequence()

    @property
    def variable(self) -> Tensor | None:
        """The leaf, or None when it is gone."""
        return self._leaf()

    def name(self) -> str:
        """PyTorch's name of this node."""
        return "torch::autograd::AccumulateGrad"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """None: a leaf has no inputs."""
        return ()
