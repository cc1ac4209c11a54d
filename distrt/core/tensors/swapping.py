"""``swap_tensors``: who holds one tensor has the other's values, class and place in the graph from then on."""

from __future__ import annotations

import weakref
from typing import Any

from distrt.core.autograd.node import AccumulateGrad
from distrt.core.tensor import Tensor


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Swaps all that two tensors are, attributes of users among them; each stays the same object.

    Raises:
        RuntimeError: for one that a weak reference leads to, as a view's base has one: it would lead to the other.
    """
    for name, tensor in (("t1", t1), ("t2", t2)):
        own = {id(node._leaf) for node in _accumulators(tensor)}
        if any(id(each) not in own for each in weakref.getweakrefs(tensor)):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    t1.__class__, t2.__class__ = t2.__class__, t1.__class__
    first: Any = dict(t1.__dict__)
    second: Any = dict(t2.__dict__)
    for tensor, attributes in ((t1, second), (t2, first)):
        tensor.__dict__.clear()
        tensor.__dict__.update(attributes)
        for node in _accumulators(tensor):
            node._leaf = weakref.ref(tensor)


def _accumulators(tensor: Tensor) -> set[AccumulateGrad]:
    """The nodes that add to this leaf's gradient; they know it by a weak reference."""
    edges = (tensor._edge, tensor._leaf_edge)
    return {edge[0] for edge in edges if edge is not None and type(edge[0]) is AccumulateGrad}
