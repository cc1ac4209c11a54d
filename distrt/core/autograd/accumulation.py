"""Where a pass ends: adding what arrived to ``.grad`` of a leaf, and running the hooks that wait for it."""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import Array, dense_like, is_dense, is_writeable
from distrt.core.autograd.node import AccumulateGrad
from distrt.core.process.references import ARGUMENT, PARAMETER
from distrt.core.sparse.array import is_sparse
from distrt.core.storage.sealed import unseal

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor

#: References to a fresh array while ``accumulate`` holds it: the caller's variable, and what comes with the call.
_REFERENCES_WHEN_OURS = 1 + PARAMETER + ARGUMENT

#: References to what an array is a view of, while `_has_its_memory` asks: the array's, and a variable.
_REFERENCES_OF_BASE = 2 + ARGUMENT

#: References to a bucket's slot while `free_slot` asks: the bucket's, the parameter's, a variable, getrefcount's own.
_REFERENCES_WHEN_FREE = 3 + ARGUMENT


def free_slot(leaf: Tensor) -> Array | None:
    """The bucket slot that a leaf's gradient may be put into; None where somebody looks at a former one there."""
    slot = leaf._grad_slot
    return slot if slot is None or getrefcount(slot) <= _REFERENCES_WHEN_FREE else None


def accumulate(leaf_node: AccumulateGrad, gradient: Any) -> None:
    """Adds a gradient to the leaf's ``.grad`` and runs the hooks that wait for it.

    With a free bucket slot, ``.grad`` shows the slot (a kernel may have written there already). Otherwise a
    fresh array that nobody else holds is taken as it is, and any other is copied. Either way its elements lie in the
    order of the leaf's (``channels_last``, say), or in a row where the leaf has gaps.
    """
    from distrt.core.tensor import Tensor, wrap

    leaf = leaf_node.variable
    if leaf is None or leaf._edge is None:  # gone, or frozen since the forward pass
        return
    if isinstance(gradient, Tensor):
        accumulate_tensor(leaf, gradient)
    elif leaf._grad is not None:
        held = leaf._grad._array
        if not is_writeable(held) and unseal(leaf._grad, False):
            held = leaf._grad._array
        held += gradient
        if held is not leaf._grad._array:  # a sparse one met a dense one
            leaf._grad = wrap(held)
        leaf._grad._counter[0] += 1
        del held  # hooks look at who else has it
    elif gradient is leaf._grad_slot:
        leaf._grad = wrap(gradient)
    elif (slot := free_slot(leaf)) is not None:
        slot[...] = gradient
        leaf._grad = wrap(slot)
    else:
        fresh = type(gradient) is type(leaf._array) and getrefcount(gradient) <= _REFERENCES_WHEN_OURS
        if fresh and _has_its_memory(gradient) and _lie_alike(gradient, leaf._array):
            leaf._grad = wrap(gradient)
        else:
            leaf._grad = wrap(_copy_like(leaf._array, gradient))
    for hook in tuple(leaf_node.post_hooks.values()):
        told = hook(leaf)
        if told is not None and not hasattr(
            told, "_array"
        ):  # a tensor is passed over, as what p.add_(...) returns
            raise TypeError(f"expected Variable, but hook returned '{type(told).__name__}'")


def _has_its_memory(array: Array) -> bool:
    """Whether an array owns its memory, or is all of one that nobody else has: one in another shape."""
    base = array.base
    if base is None:
        return True
    return (
        type(base) is np.ndarray  # CuPy's as_strided shows another's memory without a base
        and base.base is None
        and base.nbytes == array.nbytes
        and getrefcount(base) <= _REFERENCES_OF_BASE
        and is_writeable(array)
    )


def _lie_alike(gradient: Array, values: Array) -> bool:
    """Whether a fresh gradient has the layout of its leaf, as PyTorch's have."""
    if gradient.flags.c_contiguous:
        return bool(values.flags.c_contiguous) or not is_dense(values)
    return bool(gradient.strides == values.strides)


def _copy_like(values: Array, gradient: Array) -> Array:
    if is_sparse(gradient) or is_sparse(values):
        return gradient.copy()
    copy = dense_like(values, gradient.dtype)
    copy[...] = gradient
    return copy


def accumulate_tensor(leaf: Tensor, gradient: Tensor) -> None:
    """Adds a gradient that may have a graph of its own; the sum then has one too."""
    if leaf._grad is not None:  # `.grad` would warn where the leaf is none, which backward(inputs=...) allows
        leaf._grad = leaf._grad + gradient
    else:
        leaf._grad = gradient.clone()  # the pass may have handed the same tensor to others
