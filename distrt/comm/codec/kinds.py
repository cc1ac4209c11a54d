"""What ``codec`` can write, class by class: the table ``KINDS``, and how each of them is written and read.

A class is here because training scripts exchange it, and because making an object of it runs no code of anybody's
choice.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import functools
import math
import pathlib
import reprlib
import struct
import types
from collections.abc import Callable, Iterator
from typing import Any

import ml_dtypes
import numpy as np

from distrt.comm.codec.records import LENGTH, Kind, Reader, Writer
from distrt.comm.reduction import Array, check_dtype
from distrt.core.device import device
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.sparse.array import is_sparse
from distrt.core.tensor import Tensor
from distrt.core.tensors.formats import sparse_coo, sparse_csc, sparse_csr
from distrt.core.tensors.interchange import from_array
from distrt.core.tensors.size import Size

__all__ = ["BY_TAG", "BY_TYPE", "KINDS"]

_FLOAT, _COMPLEX = struct.Struct("<d"), struct.Struct("<dd")
#: What a defaultdict may make: classes that cannot do anything but be empty. Their places here are the format.
_FACTORIES = (None, list, dict, set, int, float, str, tuple, bool)


def _constant(tag: bytes, value: Any) -> Kind:
    return Kind(tag, type(value), lambda writer, _: None, lambda reader: value)


def _write_bool(writer: Writer, value: bool) -> None:
    writer.text.append(value)


def _read_bool(reader: Reader) -> bool:
    return reader.take(1)[0] != 0


def _write_int(writer: Writer, value: int) -> None:
    writer.sized(value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))


def _read_int(reader: Reader) -> int:
    return int.from_bytes(reader.take(reader.length()), "little", signed=True)


def _write_float(writer: Writer, value: float) -> None:
    writer.text += _FLOAT.pack(value)


def _write_complex(writer: Writer, value: complex) -> None:
    writer.text += _COMPLEX.pack(value.real, value.imag)


# "surrogatepass": text that was read with errors="surrogateescape", such as a file's name, need not be valid UTF-8.


def _write_str(writer: Writer, value: str) -> None:
    writer.sized(value.encode(errors="surrogatepass"))


def _read_str(reader: Reader) -> Any:
    return reader.made(str, reader.take(reader.length()), "utf-8", "surrogatepass")


def _write_items(writer: Writer, value: Any) -> None:
    _write_each(writer, value, "[{}]")


def _write_members(writer: Writer, value: Any) -> None:
    _write_each(writer, value, "<element>")


def _write_each(writer: Writer, value: Any, place: str) -> None:
    writer.text += LENGTH.pack(len(value))
    with writer.inside() as path:
        for index, item in enumerate(value):
            path[-1] = place.format(index)
            writer.put(item)


def _items_reader(make: Callable[[Iterator[Any]], Any]) -> Callable[[Reader], Any]:
    return lambda reader: reader.made(make, reader.inside(reader.length()))


def _write_dict(writer: Writer, value: dict[Any, Any]) -> None:
    writer.text += LENGTH.pack(len(value))
    with writer.inside() as path:
        for key, item in value.items():
            path[-1] = "<key>"
            writer.put(key)
            path[-1] = f"[{reprlib.repr(key)}]"
            writer.put(item)


_read_tuple = _items_reader(tuple)


def _dict_reader(make: Callable[[], dict[Any, Any]]) -> Callable[[Reader], Any]:
    return lambda reader: _filled(reader, make())


def _filled(reader: Reader, mapping: dict[Any, Any]) -> dict[Any, Any]:
    records = reader.inside(2 * reader.length(2))
    for key in records:
        reader.made(mapping.__setitem__, key, next(records))
    return mapping


def _write_defaultdict(writer: Writer, value: collections.defaultdict[Any, Any]) -> None:
    writer.text.append(_FACTORIES.index(value.default_factory))
    _write_dict(writer, value)


def _read_defaultdict(reader: Reader) -> Any:
    factory = reader.made(_FACTORIES.__getitem__, reader.take(1)[0])
    return _filled(reader, collections.defaultdict(factory))


def _namespace(tag: bytes, cls: type) -> Kind:
    def write(writer: Writer, value: Any) -> None:
        attributes = vars(value)
        writer.text += LENGTH.pack(len(attributes))
        with writer.inside() as path:
            for name, item in attributes.items():
                path[-1] = f".{name}"
                _write_str(writer, name)
                writer.put(item)

    def read(reader: Reader) -> Any:
        made = cls()
        for _ in range(reader.length(2)):
            name = _read_str(reader)
            for item in reader.inside(1):
                vars(made)[name] = item
        return made

    return Kind(tag, cls, write, read, is_shared=True)


def _built(tag: bytes, cls: type, arguments: Callable[[Any], tuple[Any, ...]]) -> Kind:
    """An immutable object that its class makes of a few arguments."""

    def write(writer: Writer, value: Any) -> None:
        _write_each(writer, arguments(value), "<argument {}>")

    def read(reader: Reader) -> Any:
        return reader.made(cls, *reader.inside(reader.length()))

    return Kind(tag, cls, write, read)


def _state(value: Any) -> tuple[Any, ...]:
    """What a date or a time is made of again, ``fold`` included."""
    found: tuple[Any, ...] = value.__reduce_ex__(4)[1]
    return found


def _is_carried(array: Any) -> bool:
    try:
        check_dtype("encode", array.dtype)
    except DtypeError:
        return False
    return True


def _write_array(writer: Writer, array: Array) -> None:
    writer.text += bytes((_DTYPES.index(array.dtype), array.ndim))
    for size in array.shape:
        writer.text += LENGTH.pack(size)
    writer.elements(array)


def _read_array(reader: Reader) -> Array:
    number, ndim = reader.take(2)
    dtype = np.dtype(reader.made(_DTYPES.__getitem__, number))
    shape = [reader.number(LENGTH) for _ in range(ndim)]
    data = reader.take(math.prod(shape) * dtype.itemsize)
    array: Array = reader.made(np.empty, shape, dtype)
    bits = array.reshape(-1).view(np.uint8)
    bits[...] = np.frombuffer(data, np.uint8)
    if dtype.kind == "b" and (bits > 1).any():
        raise reader.broken("a bool is neither 0 nor 1")
    return array


def _write_scalar(writer: Writer, scalar: np.generic) -> None:
    _write_array(writer, np.asarray(scalar))


def _read_scalar(reader: Reader) -> Any:
    array = _read_array(reader)
    if array.ndim:
        raise reader.broken(f"a scalar has shape {array.shape}")
    return array[()]


def _write_tensor(writer: Writer, tensor: Tensor) -> None:
    array = tensor._array
    writer.text.append(tensor.requires_grad + 2 * is_sparse(array))
    (_write_sparse if is_sparse(array) else _write_array)(writer, array)


def _read_tensor(reader: Reader) -> Any:
    flags = reader.take(1)[0]
    made = _read_sparse(reader) if flags & 2 else reader.made(from_array, _read_array(reader))
    return reader.made(made.requires_grad_) if flags & 1 else made


def _write_sparse(writer: Writer, array: Any) -> None:
    is_coalesced = array.layout is sparse_coo and array.is_coalesced
    writer.text += bytes((_LAYOUTS.index(array.layout), is_coalesced))
    _write_items(writer, array.shape)
    for part in array.parts():
        _write_array(writer, part)


def _read_sparse(reader: Reader) -> Any:
    from distrt.core.sparse.creation import sparse_compressed_tensor, sparse_coo_tensor

    number, is_coalesced = reader.take(2)
    layout = reader.made(_LAYOUTS.__getitem__, number)
    shape = _read_tuple(reader)
    parts = [from_array(_read_array(reader)) for _ in range(2 if layout is sparse_coo else 3)]
    make: Any = functools.partial(sparse_compressed_tensor, layout=layout)
    if layout is sparse_coo:
        make = functools.partial(sparse_coo_tensor, is_coalesced=bool(is_coalesced))
    return reader.made(functools.partial(make, check_invariants=True), *parts, shape)


def _write_dtype(writer: Writer, value: dt.dtype) -> None:
    writer.text.append(_DTYPES.index(value.numpy))


def _read_dtype(reader: Reader) -> dt.dtype:
    return dt.known(reader.made(_DTYPES.__getitem__, reader.take(1)[0]))


#: Their places are the format, as those of dtypes: a new one goes to the end.
_LAYOUTS = (sparse_coo, sparse_csr, sparse_csc)
_DTYPE_NAMES = (
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64 complex128"
).split()
_DTYPES = [np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name) for name in _DTYPE_NAMES]
_SCALARS = (
    *(each.type for each in _DTYPES),
    np.longlong,  # of two integers that are 64 bits long, NumPy gives one this dtype's name
    np.ulonglong,
)

# Why these: numbers, text and containers are what metrics and configurations are made of; Counter, defaultdict and
# OrderedDict what they are gathered in; Namespace is what argparse gives; paths and times are what ranks agree on
# before they write a file.
KINDS = (
    _constant(b"N", None),
    Kind(b"?", bool, _write_bool, _read_bool),
    Kind(b"i", int, _write_int, _read_int),
    Kind(b"f", float, _write_float, lambda reader: reader.number(_FLOAT)),
    Kind(b"c", complex, _write_complex, lambda reader: complex(*reader.number(_COMPLEX))),
    Kind(b"s", str, _write_str, _read_str),
    Kind(b"b", bytes, Writer.sized, lambda reader: bytes(reader.take(reader.length()))),
    Kind(
        b"B", bytearray, Writer.sized, lambda reader: bytearray(reader.take(reader.length())), is_shared=True
    ),
    Kind(b"(", tuple, _write_items, _read_tuple),
    Kind(b"[", list, _write_items, _items_reader(list), is_shared=True),
    Kind(b"{", set, _write_members, _items_reader(set), is_shared=True),
    Kind(b"<", frozenset, _write_members, _items_reader(frozenset)),
    Kind(b":", dict, _write_dict, _dict_reader(dict), is_shared=True),
    Kind(b"O", collections.OrderedDict, _write_dict, _dict_reader(collections.OrderedDict), is_shared=True),
    Kind(b"C", collections.Counter, _write_dict, _dict_reader(collections.Counter), is_shared=True),
    Kind(
        b"D",
        collections.defaultdict,
        _write_defaultdict,
        _read_defaultdict,
        is_shared=True,
        takes=lambda value: value.default_factory in _FACTORIES,
    ),
    _namespace(b"n", argparse.Namespace),
    _namespace(b"m", types.SimpleNamespace),
    _built(b"d", datetime.date, _state),
    _built(b"t", datetime.time, _state),
    _built(b"T", datetime.datetime, _state),
    _built(b"e", datetime.timedelta, lambda value: (value.days, value.seconds, value.microseconds)),
    _built(b"z", datetime.timezone, lambda value: value.__getinitargs__()),
    _built(b"/", pathlib.PosixPath, lambda value: (str(value),)),
    _built(b"p", pathlib.PurePosixPath, lambda value: (str(value),)),
    Kind(b"A", np.ndarray, _write_array, _read_array, is_shared=True, takes=_is_carried),
    *(Kind(b"a", cls, _write_scalar, _read_scalar) for cls in _SCALARS),
    Kind(
        b"x",
        Tensor,
        _write_tensor,
        _read_tensor,
        is_shared=True,
        takes=lambda value: _is_carried(value._array),
    ),
    Kind(b"y", dt.dtype, _write_dtype, _read_dtype),
    _built(b"S", Size, lambda value: (tuple(value),)),
    _built(b"v", device, lambda value: (value.type, value.index)),
)
BY_TYPE = {kind.cls: kind for kind in KINDS}
BY_TAG = {kind.tag: kind for kind in KINDS}
