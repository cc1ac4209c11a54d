"""Python values as bytes and back, without pickle: what the object collectives send.

Bytes from a peer only ever become the types listed in ``codec_kinds``; nothing that arrives is imported or run, unless
both sides say ``allow_pickle=True``. The form is described in ``codec_records``.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np

from distrt.comm.codec.kinds import BY_TAG, BY_TYPE
from distrt.comm.codec.records import MAX_DEPTH, CodecError, Reader, Writer
from distrt.comm.reduction import Array

__all__ = ["MAX_DEPTH", "CodecError", "decode", "encode"]

_VALUE, _PICKLED = b"distrt-value/1\n", b"distrt-pickle/1\n"


def encode(value: Any, *, allow_pickle: bool = False) -> Array:
    """``value`` as an array of uint8; the elements of large arrays are copied once.

    Of a tensor, the elements, dtype, shape and ``requires_grad`` are kept; a non-leaf becomes a leaf, as in a pickle.

    Args:
        value: anything made of the types in ``codec_kinds``; objects of subclasses are not of these types.
        allow_pickle: pickle the whole value where it holds anything else.

    Raises:
        TypeError: for a part of another class; it says which part, and what to do.
        CodecError: for a value that contains itself, or is nested deeper than `MAX_DEPTH`.
    """
    writer = Writer(_VALUE, BY_TYPE)
    try:
        writer.put(value)
    except RecursionError:
        raise CodecError("a value could not be encoded: the stack is nearly used up already") from None
    except (TypeError, CodecError):
        if not allow_pickle:
            raise
        return _pickled(value)
    return writer.joined()


def _pickled(value: Any) -> Array:
    stream = io.BytesIO()
    stream.write(_PICKLED)
    pickle.dump(value, stream)
    return np.frombuffer(stream.getbuffer(), np.uint8)


def decode(data: Any, *, allow_pickle: bool = False) -> Any:
    """The value that ``encode`` wrote; its arrays are writable copies.

    Memory that is taken stays in proportion to the length of ``data``, whatever its bytes say.

    Args:
        data: contiguous bytes: bytes, bytearray, memoryview, or an array of uint8.
        allow_pickle: unpickle what was pickled. Bytes of somebody that you do not trust can then run any program.

    Raises:
        CodecError: for anything but the whole of what ``encode`` wrote, and for a pickle that is not allowed.
    """
    bytes_ = memoryview(data)
    view = bytes_.cast("B") if bytes_.nbytes else memoryview(b"")
    if view[: len(_PICKLED)] == _PICKLED:
        return _unpickled(view[len(_PICKLED) :], allow_pickle)
    if view[: len(_VALUE)] != _VALUE:
        raise CodecError("these bytes are no encoded value: they do not begin as one")
    reader = Reader(view[len(_VALUE) :], BY_TAG)
    try:
        value = reader.get()
    except RecursionError:
        raise CodecError("an encoded value could not be read: the stack is nearly used up already") from None
    if reader.left:
        raise CodecError(f"{reader.left} bytes follow the end of an encoded value")
    return value


def _unpickled(view: memoryview, allow_pickle: bool) -> Any:
    if not allow_pickle:
        raise CodecError(
            "the other side sent a pickle, which can run any program: pass allow_pickle=True here as well if you "
            "trust it, or have it send numbers, text, lists, dicts, arrays or tensors"
        )
    try:
        return pickle.loads(view)
    except Exception as error:
        raise CodecError(f"a pickle could not be read: {type(error).__name__}: {error}") from error
