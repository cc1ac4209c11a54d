"""What the tests of this folder share: a trip through a file, and a comparison of what came back."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

import distrt


def through(value: Any, **options: Any) -> Any:
    """What becomes of a value that is saved and loaded."""
    buffer = io.BytesIO()
    distrt.save(value, buffer)
    buffer.seek(0)
    return distrt.load(buffer, **options)


def saved(value: Any, **options: Any) -> bytes:
    """The file of a value."""
    buffer = io.BytesIO()
    distrt.save(value, buffer, **options)
    return buffer.getvalue()


def loaded(data: bytes, **options: Any) -> Any:
    """The value of a file."""
    return distrt.load(io.BytesIO(data), **options)


def bits(tensor: Any) -> bytes:
    """The elements of a tensor of either library, as bytes in row-major order."""
    plain = tensor.detach().contiguous().flatten()
    if type(plain).__module__.startswith("torch"):
        import torch

        return b"" if not plain.numel() else plain.view(torch.uint8).numpy().tobytes()
    return np.ascontiguousarray(plain.numpy()).tobytes()


def assert_same(mine: Any, theirs: Any) -> None:
    """The two values agree: shapes, strides, dtypes, classes and bits, in either library."""
    if hasattr(theirs, "stride"):
        assert type(mine).__name__ == type(theirs).__name__
        assert tuple(mine.shape) == tuple(theirs.shape) and str(mine.dtype) == str(theirs.dtype)
        assert mine.requires_grad == theirs.requires_grad and bits(mine) == bits(theirs)
        assert not mine.numel() or mine.stride() == theirs.stride()
        assert not mine.numel() or mine.storage_offset() == theirs.storage_offset()
        return
    kind = type(theirs)
    if kind.__module__.startswith(("torch", "distrt")) and not isinstance(theirs, dict):
        assert str(mine) == str(theirs)
        return
    assert type(mine) is kind
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs)
        for key in theirs:
            assert_same(mine[key], theirs[key])
    elif isinstance(theirs, list | tuple):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            assert_same(one, other)
    else:
        assert mine == theirs or mine != mine
