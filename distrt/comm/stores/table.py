"""What the keys of a store mean: the values and queues, and how each operation changes them.

The server, ``HashStore`` and ``FileStore`` all hold one. Its users see to locks and to waiting. Standard library only.
"""

from collections import deque
from collections.abc import Iterable

__all__ = ["Table"]

_HALF = 1 << 63


class Table:
    """Keys with their values, and queues beside them."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._queues: dict[str, deque[bytes]] = {}

    def add(self, key: str, amount: int) -> int:
        """Add to the number at ``key`` (0 where unset) and return the sum, which has 64 bits and wraps, as in PyTorch.

        Raises:
            ValueError: the value there is no number.
        """
        try:
            total = int(self.values.get(key, b"0")) + amount
        except ValueError:
            raise ValueError(
                f"add: the value of key {key!r} is {self.values[key][:40]!r}, not a whole number"
            ) from None
        total = (total + _HALF) % (2 * _HALF) - _HALF
        self.values[key] = b"%d" % total
        return total

    def compare_set(self, key: str, expected: bytes, desired: bytes) -> bytes:
        """Set ``key`` if its value is ``expected`` (empty: if it is unset), and return what is there then.

        Where the key is unset and ``expected`` is not empty, ``expected`` comes back, as in PyTorch.
        """
        current = self.values.get(key)
        if current is None and expected:
            return expected
        if current is None or current == expected:
            self.values[key] = desired
        return self.values[key]

    def append(self, key: str, value: bytes) -> int:
        """Put ``value`` behind what is at ``key``; returns the whole length."""
        self.values[key] = self.values.get(key, b"") + value
        return len(self.values[key])

    def delete(self, key: str) -> bool:
        """Delete ``key`` and return whether it was set."""
        return self.values.pop(key, None) is not None

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Return those of ``keys`` that have neither a value nor a queued element."""
        return [key for key in keys if not self.has(key)]

    def has(self, key: str) -> bool:
        """Whether ``key`` has a value or a queued element."""
        return key in self.values or key in self._queues

    def push(self, key: str, value: bytes) -> None:
        """Put ``value`` at the end of the queue ``key``."""
        self._queues.setdefault(key, deque()).append(value)

    def pop(self, key: str) -> bytes | None:
        """Take the first element of the queue ``key``; None where it has none."""
        queue = self._queues.get(key)
        if queue is None:
            return None
        value = queue.popleft()
        if not queue:
            del self._queues[key]
        return value

    def queue_length(self, key: str) -> int:
        """Return how many elements the queue ``key`` has."""
        return len(self._queues.get(key, ()))
