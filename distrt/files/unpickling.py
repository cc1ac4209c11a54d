"""Reads pickles without executing them: an interpreter of pickle's opcodes that asks a builder for everything else.

What each opcode does is in ``opcodes.py``; a builder names classes, calls, and sets state (``building.py``).
"""

from __future__ import annotations

import pickle
import struct
from typing import Any, Protocol

from distrt.core.errors import CheckpointError, DistrtError, EmptyFileError
from distrt.files.faults import SENSELESS, UnpicklingError, quoted
from distrt.files.opcodes import STEPS

_MOST_LINE = 1 << 16  # bytes of a line of text: a name, or a number in protocol 0


class Builder(Protocol):
    """What an interpreter asks for."""

    def find(self, module: str, name: str) -> Any:
        """The object of a name."""

    def call(self, function: Any, arguments: Any) -> Any:
        """What a call gives."""

    def make(self, kind: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
        """A new object of a class, its ``__init__`` not called."""

    def set_state(self, value: Any, state: Any) -> Any:
        """The object after its state was set."""

    def load(self, identity: Any) -> Any:
        """What the pickle refers to outside itself: a storage."""

    def holds(self, container: Any, kind: type) -> bool:
        """True where the pickle may fill an object of this class as it would a list, dict or set."""


class Unpickler:
    """One pickle after another, from a file.

    Args:
        file: can ``read`` and ``readline``.
        builder: decides what is built.
        limit: bytes that the file still has; nothing longer is ever asked for.
        encoding: what the strings of Python 2 are decoded with; ``bytes`` leaves them as bytes.
    """

    def __init__(self, file: Any, builder: Builder, limit: int, encoding: str = "utf-8") -> None:
        self.read, self.readline = file.read, file.readline
        self.builder, self.limit, self.encoding = builder, limit, encoding

    def load(self) -> Any:
        """The next object.

        Raises:
            UnpicklingError: for a pickle that is damaged, or asks for what it must not have.
            EmptyFileError: where the file ends.
        """
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        try:
            return self._run()
        except (CheckpointError, OSError):
            raise
        except (*SENSELESS, DistrtError) as fault:
            raise UnpicklingError(
                f"the pickle is corrupt: {type(fault).__name__}: {quoted(str(fault))}"
            ) from fault

    def _run(self) -> Any:
        read, steps = self.read, STEPS
        while code := read(1):
            step = steps[code[0]]
            if step is None:
                if code == pickle.STOP:
                    return self.stack.pop()
                raise UnpicklingError(f"Unsupported operand {code[0]}")
            step(self)
        raise EmptyFileError("Ran out of input: the file ends inside a pickle, or before one")

    # -- bytes

    def exactly(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= self.limit:
            raise UnpicklingError(f"pickle data was truncated: {count} bytes do not fit into the file")
        data: bytes = self.read(count)
        if len(data) != count:
            raise UnpicklingError(f"pickle data was truncated: {count - len(data)} bytes are missing")
        return data

    def number(self, form: struct.Struct) -> Any:
        """The next number."""
        return form.unpack(self.exactly(form.size))[0]

    def line(self) -> bytes:
        """The next line, without its end."""
        data: bytes = self.readline(_MOST_LINE)
        if not data.endswith(b"\n"):
            raise UnpicklingError("pickle data was truncated: a line does not end")
        return data[:-1]

    # -- the stack

    def since_mark(self) -> list[Any]:
        """What lies above the last mark, taken off the stack."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def target(self, kind: type, operation: str) -> Any:
        """The object on top, which must be a list, a dict or a set."""
        container = self.stack[-1]
        if not self.builder.holds(container, kind):
            raise UnpicklingError(f"Can only {operation} to {kind.__name__}s, but got {type(container)}")
        return container

    def remember(self, index: int) -> None:
        """Keeps what lies on top under a number."""
        self.memo[index] = self.stack[-1]

    def recall(self, index: int) -> None:
        """Puts what was kept on top."""
        if index not in self.memo:
            raise UnpicklingError(f"Memo value not found at index {index}")
        self.stack.append(self.memo[index])

    def text(self, data: bytes) -> Any:
        """A string of Python 2."""
        return data if self.encoding == "bytes" else data.decode(self.encoding)
