"""Records of tagged, length-prefixed bytes: the form in which ``codec`` writes values, and how it is checked.

A record is a tag of one byte and what its kind writes: numbers of a fixed size, lengths as 8 bytes before what they
count, other records inside. All numbers are little-endian, as on every machine that distrt runs on. A mutable object
that occurs twice is written once and then referred to, so it is one object again at the other end, as with pickle.
Memory that two arrays share is not: each brings its own elements.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import enum
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from distrt.comm.reduction import Array, as_bits
from distrt.core.errors import DistributedError
from distrt.core.tensor import Tensor

__all__ = ["LENGTH", "MAX_DEPTH", "CodecError", "Kind", "Reader", "Writer"]

#: Lists in lists: beyond this, both sides refuse, rather than run out of stack.
MAX_DEPTH = 100
LENGTH = struct.Struct("<Q")

_REFERENCE = b"@"
_OWN_PART_BYTES = 1 << 12  # what is larger is copied once, straight into the result
_Part = bytes | bytearray | Array


class CodecError(DistributedError, ValueError):
    """Bytes that are no encoded value; or a value that contains itself, or is nested too deep."""


class Kind(NamedTuple):
    """How objects of exactly one class are written and read.

    ``is_shared``: an object has an identity that matters, because it can change. It is numbered when it is complete.
    ``takes``: which objects of the class can be written; None for all.
    """

    tag: bytes
    cls: type
    write: Callable[[Writer, Any], None]
    read: Callable[[Reader], Any]
    is_shared: bool = False
    takes: Callable[[Any], bool] | None = None


class Writer:
    """Gathers parts: short ones in ``text``, large arrays as they are."""

    def __init__(self, header: bytes, by_type: Mapping[type, Kind]) -> None:
        self.parts: list[_Part] = []
        self.text = bytearray(header)
        self._by_type = by_type
        self._path: list[str] = []
        self._open: set[int] = set()  # ids of the shared objects that are being written
        self._numbers: dict[int, int] = {}  # id -> number, of those that have been

    def put(self, value: Any) -> None:
        """Write one record."""
        kind = self._by_type.get(type(value))
        if kind is None or not (kind.takes is None or kind.takes(value)):
            raise TypeError(self._refusal(value))
        if not kind.is_shared:
            self.text += kind.tag
            kind.write(self, value)
        elif id(value) in self._numbers:
            self.text += _REFERENCE
            self.text += LENGTH.pack(self._numbers[id(value)])
        elif id(value) in self._open:
            raise CodecError(f"cannot encode {self._here()}: it contains itself")
        else:
            self._open.add(id(value))
            self.text += kind.tag
            kind.write(self, value)
            self._numbers[id(value)] = len(self._numbers)

    def sized(self, data: Any) -> None:
        """Write bytes with their length in front."""
        self.text += LENGTH.pack(len(data))
        if len(data) < _OWN_PART_BYTES:
            self.text += data
        else:
            self._own_part(data)

    def elements(self, array: Array) -> None:
        """Write an array's elements in C order."""
        if array.nbytes < _OWN_PART_BYTES:
            self.text += array.tobytes()
        else:
            self._own_part(array)

    def _own_part(self, part: _Part) -> None:
        self.parts += [self.text, part]
        self.text = bytearray()

    @contextlib.contextmanager
    def inside(self) -> Iterator[list[str]]:
        """One level further down; the caller keeps the last entry of the path at the part that it writes."""
        self._path.append("")
        if len(self._path) > MAX_DEPTH:
            raise CodecError(f"cannot encode a value that is nested deeper than {MAX_DEPTH}: {self._here()}")
        yield self._path
        self._path.pop()

    def joined(self) -> Array:
        """All parts in one array of bytes."""
        parts = [*self.parts, self.text]
        whole = np.empty(sum(_byte_count(part) for part in parts), np.uint8)
        start = 0
        for part in parts:
            room = whole[start : start + _byte_count(part)]
            if isinstance(part, np.ndarray):
                bits = as_bits(part)
                room.view(bits.dtype).reshape(bits.shape)[...] = bits
            else:
                room[...] = np.frombuffer(part, np.uint8)
            start += len(room)
        return whole

    def _here(self) -> str:
        path = "".join(self._path)
        return "value" + (path if len(path) < 1000 else f"{path[:500]} ... {path[-500:]}")

    def _refusal(self, value: Any) -> str:
        cls = type(value)
        name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
        return (
            f"cannot encode {self._here()}: an object of class {name}{_why(value)}. {_advice(value)}, or pass "
            "allow_pickle=True on every rank, if you trust all of them: a pickle can run any program"
        )


def _byte_count(part: _Part) -> int:
    return part.nbytes if isinstance(part, np.ndarray) else len(part)


def _why(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        return f" with dtype {value.dtype}"
    if type(value) is collections.defaultdict:
        return f" that makes values with {value.default_factory!r}"
    return ""


def _advice(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return "Send its .value"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "Send dataclasses.asdict(it)"
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return "Send tuple(it) or it._asdict()"
    if isinstance(value, np.ndarray | np.generic):
        return "Send numpy.asarray(it, dtype) with a dtype that tensors have"
    if isinstance(value, Tensor):
        return "Send it.detach().as_subclass(Tensor)"
    if hasattr(value, "state_dict"):
        return "Send its state_dict()"
    if isinstance(value, collections.defaultdict):
        return "Send dict(it)"
    return "Convert it to numbers, text, lists, dicts, arrays or tensors"


class Reader:
    """Walks over bytes; no length is believed before it was compared with what is left."""

    def __init__(self, data: memoryview, by_tag: Mapping[bytes, Kind]) -> None:
        self._data = data
        self._at = 0
        self._depth = 0
        self._by_tag = by_tag
        self._shared: list[Any] = []

    @property
    def left(self) -> int:
        """How many bytes have not been read yet."""
        return len(self._data) - self._at

    def get(self) -> Any:
        """Read one record."""
        tag = bytes(self.take(1))
        kind = self._by_tag.get(tag)
        if kind is not None:
            value = kind.read(self)
            if kind.is_shared:
                self._shared.append(value)
            return value
        if tag == _REFERENCE:
            number = self.length(0)
            if number >= len(self._shared):
                raise self.broken(f"it refers to object {number} of {len(self._shared)}")
            return self._shared[number]
        raise self.broken(f"there is no kind {tag!r}")

    def take(self, count: int) -> memoryview:
        """The next ``count`` bytes."""
        if count > self.left:
            raise self.broken(f"{count} bytes should follow, but {self.left} do")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, form: struct.Struct) -> Any:
        """The next number, or numbers, of a fixed form."""
        found = form.unpack(self.take(form.size))
        return found[0] if len(found) == 1 else found

    def length(self, unit_bytes: int = 1) -> int:
        """A length, of things that take ``unit_bytes`` at least."""
        count: int = self.number(LENGTH)
        if count * unit_bytes > self.left:
            raise self.broken(f"{count} items should follow, but only {self.left} bytes do")
        return count

    def inside(self, count: int) -> Iterator[Any]:
        """The next ``count`` records, one level further down."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self.broken(f"it is nested deeper than {MAX_DEPTH}")
        for _ in range(count):
            yield self.get()
        self._depth -= 1

    def made(self, make: Callable[..., Any], *args: Any) -> Any:
        """``make(*args)``, where what was read may be no argument for it."""
        try:
            return make(*args)
        except CodecError:
            raise
        except Exception as error:
            raise self.broken(str(error)) from error

    def broken(self, what: str) -> CodecError:
        """The error at this place."""
        return CodecError(f"an encoded value is broken before byte {self._at} of {len(self._data)}: {what}")
