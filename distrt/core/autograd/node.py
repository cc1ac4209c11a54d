"""The graph: one ``Node`` per recorded operation, one ``AccumulateGrad`` per leaf.

An *edge* is ``(node, number of the output)``. A tensor holds the edge that made it, a node holds the edges of its
inputs, so references point from results to inputs only and a graph is freed by reference counting.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from distrt.core.errors import AutogradError

if TYPE_CHECKING:
    from distrt.core.op import Definition
    from distrt.core.tensor import Tensor

Edge = tuple["Node | AccumulateGrad", int]

#: Hooks by the number of their registration, in which order they run.
Hooks = dict[float, Callable[[Any], Any]]
RUNS_LAST = math.inf  # retain_grad keeps what the hooks have made of the gradient

#: Creation order of nodes. The engine runs the newest first, which is the same order on every rank.
next_sequence = itertools.count().__next__

_FREED: Any = object()


class Node:
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

    __slots__ = (
        "__weakref__",
        "counters",
        "definition",
        "edges",
        "hooks",
        "metas",
        "results",
        "saved",
        "sequence",
        "stamp",
    )

    definition: Definition
    edges: tuple[Edge | None, ...]
    metas: tuple[Any, ...]
    saved: Any
    counters: tuple[list[int], ...]
    stamp: int
    hooks: dict[int, Hooks] | None
    sequence: int

    def name(self) -> str:
        """The operation's name as PyTorch prints it: ``MulBackward0``."""
        return self.definition.node_name

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The edges to the nodes that this one passes gradients to; ``(None, 0)`` where none is wanted."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    def hooks_of(self, number: int) -> Hooks:
        """The hooks on the gradient of one output, to add to."""
        if self.hooks is None:
            self.hooks = {}
        return self.hooks.setdefault(number, {})

    def take_saved(self, keep_graph: bool) -> tuple[Any, ...]:
        """The kept values, checked; they are let go unless the graph is to be kept.

        Raises:
            AutogradError: when they were let go before, or an in-place operation has changed one of them.
        """
        saved: tuple[Any, ...] = self.saved
        if saved is _FREED:
            raise AutogradError(
                f"Trying to backward through the graph a second time ({self.name()}), but its saved tensors have been "
                "freed. Specify retain_graph=True in the first backward() or autograd.grad() call."
            )
        if self.counters:
            stamp = 0
            for counter in self.counters:
                stamp += counter[0]
            if stamp != self.stamp:
                raise AutogradError(
                    "one of the variables needed for gradient computation has been modified by an inplace "
                    f"operation: {self.name()} kept a tensor of its forward pass that was changed afterwards. Use "
                    "the out-of-place form of that operation, or a clone()."
                )
            if not keep_graph:
                self.saved = _FREED
        elif not keep_graph and self.definition.keeps_arrays:
            self.saved = _FREED
        return saved

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


class AccumulateGrad:
    """The end of a path: adds what arrives to its leaf's ``.grad``.

    It refers to the leaf weakly: the leaf owns it, and nobody can see the gradient of a leaf that is gone.
    """

    __slots__ = ("__weakref__", "_leaf", "hooks", "post_hooks", "sequence")

    def __init__(self, leaf: Tensor) -> None:
        self._leaf = weakref.ref(leaf)
        self.hooks: Hooks = {}
        self.post_hooks: Hooks = {}
        self.sequence = next_sequence()

    @property
    def variable(self) -> Tensor | None:
        """The leaf, or None when it is gone."""
        return self._leaf()

    def name(self) -> str:
        """PyTorch's name of this node."""
        return "AccumulateGrad"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """None: a leaf has no inputs."""
        return ()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"
