"""Pruning: parameters that are multiplied with a mask of zeros and ones before each forward.

``prune.l1_unstructured(layer, "weight", 0.3)`` moves ``layer.weight`` to ``layer.weight_orig``, puts the mask into the
buffer ``layer.weight_mask``, and sets ``layer.weight`` to their product in a hook before forward.
"""

from distrt.nn.utils.prune.base import BasePruningMethod, PruningContainer
from distrt.nn.utils.prune.functional import (
    custom_from_mask,
    global_unstructured,
    identity,
    is_pruned,
    l1_unstructured,
    ln_structured,
    random_structured,
    random_unstructured,
    remove,
)
from distrt.nn.utils.prune.methods import (
    CustomFromMask,
    Identity,
    L1Unstructured,
    LnStructured,
    RandomStructured,
    RandomUnstructured,
)

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]
