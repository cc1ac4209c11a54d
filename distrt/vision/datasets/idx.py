"""The IDX format of MNIST and its kin: two zeros, a type, the number of dims, the sizes, the numbers; big-endian.

Source: Y. LeCun, C. Cortes, C. Burges, The MNIST database of handwritten digits.
"""

from __future__ import annotations

import math
import os

import numpy as np

from distrt.core.creation import as_tensor
from distrt.core.errors import DatasetError
from distrt.core.tensor import Tensor

__all__ = ["read_idx"]

_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
_MOST_DIMS = 3


_BYTES = 8


def read_idx(path: str, dims: int | None = None, kind: int = _BYTES) -> Tensor:
    """The tensor in a file.

    Args:
        path: an IDX file, not compressed.
        dims: how many it must have; then it must be of type ``kind``, too.
        kind: bytes, as images and labels are, unless another is given (12 are integers of four bytes).

    Raises:
        DatasetError: for a file that is none, or longer or shorter than its first bytes say.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        magic = file.read(4)
        if (
            len(magic) < 4
            or magic[:2] != b"\0\0"
            or magic[2] not in _TYPES
            or not 1 <= magic[3] <= _MOST_DIMS
        ):
            raise DatasetError(
                f"{path} is no IDX file: it begins with the bytes {magic.hex(' ') or '(none)'}"
            )
        if dims is not None and (magic[2] != kind or magic[3] != dims):
            expected_kind = "bytes" if kind == _BYTES else f"type {kind}"
            raise DatasetError(
                f"{path}: expected {expected_kind} in {dims} dims, got type {magic[2]} in {magic[3]} dims"
            )
        header = file.read(4 * magic[3])
        if len(header) < 4 * magic[3]:
            raise DatasetError(f"{path} ends within its header, after {size} bytes")
        shape = np.frombuffer(header, ">u4").tolist()
        dtype = np.dtype(_TYPES[magic[2]])
        expected = 4 + len(header) + math.prod(shape) * dtype.itemsize
        if size != expected:
            raise DatasetError(
                f"{path}: {shape} numbers of {dtype.itemsize} bytes make {expected} bytes, it has {size}"
            )
        array = np.frombuffer(file.read(), dtype).reshape(shape)
    return as_tensor(array.astype(dtype.newbyteorder("=")))
