"""Names for annotations, as in ``torch.types``: ``from distrt.types import Device, Number``."""

from __future__ import annotations

import builtins
import os
from collections.abc import Sequence
from typing import IO, Any, TypeAlias

from distrt.core.device import device as _device
from distrt.core.dtypes.dtype import dtype as _dtype  # noqa: F401 - a name of the module
from distrt.core.storage.storage import UntypedStorage as Storage
from distrt.core.tensor import Tensor
from distrt.core.tensors.formats import layout as _layout  # noqa: F401 - the same
from distrt.core.tensors.size import Size

__all__ = ["Device", "FileLike", "Number", "Storage"]

# Modules that have functions of these names annotate with the builtins.
_int = builtins.int
_float = builtins.float
_bool = builtins.bool
_complex = builtins.complex
_str = builtins.str

_size: TypeAlias = Size | list[builtins.int] | tuple[builtins.int, ...]
_symsize: TypeAlias = _size  # sizes are always numbers here
_TensorOrTensors: TypeAlias = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge: TypeAlias = Tensor | Sequence[Tensor] | tuple[Any, builtins.int]

Number: TypeAlias = builtins.int | builtins.float | builtins.bool
_Number = (builtins.int, builtins.float, builtins.bool)
Device: TypeAlias = _device | builtins.str | builtins.int | None
FileLike: TypeAlias = builtins.str | os.PathLike[builtins.str] | IO[bytes]
