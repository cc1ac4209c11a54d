"""What every key-value store can do, with PyTorch's names, and how arguments are checked.

Keys are text, values are bytes (text goes in as UTF-8), and a wait that takes longer than the store's time-out raises
``DistStoreError``. A time-out is a ``timedelta`` or a float of seconds. The stores themselves stand in ``memory``,
``tcp`` and ``file``. Standard library only.
"""

# ruff: noqa: D102 - the methods of a store are described in ``Store``

import operator
from collections.abc import Callable, Generator, Iterable, Sequence, Set, ValuesView
from datetime import timedelta
from typing import NoReturn, TypeVar

from distrt.comm.stores.table import Table
from distrt.core.errors import DistStoreError

__all__ = [
    "DEFAULT_TIMEOUT",
    "Store",
    "TableStore",
    "Timeout",
    "duration",
    "encode",
    "late",
    "number",
    "number64",
    "pairs_with",
    "seconds",
    "text",
    "texts",
]

Timeout = timedelta | float
_SEVERAL = (Sequence, Set, ValuesView, Generator, map, zip)  # what PyTorch's bindings take for a list
DEFAULT_TIMEOUT = timedelta(seconds=300)

_Found = TypeVar("_Found")


class Store:
    """What every store can do; a class of your own may derive from it.

    ``timeout_s`` and ``ranks`` of ``get`` and ``wait`` are distrt's: how long this wait may take, and which ranks set
    the keys, where the caller knows: a store that can tell fails at once if one of them has ended.
    """

    def __init__(self) -> None:
        self._timeout = DEFAULT_TIMEOUT

    @property
    def timeout(self) -> timedelta:
        """How long a wait may take that is given no time-out."""
        return self._timeout

    def set_timeout(self, timeout: Timeout) -> None:
        """Set ``timeout``."""
        self._timeout = duration(timeout, "set_timeout")

    def set(self, key: str, value: bytes | str) -> None:
        """Set ``key`` to ``value``."""
        self._lack("set")

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        """Wait until ``key`` is set and return its value."""
        self._lack("get")

    def add(self, key: str, amount: int) -> int:
        """Add ``amount`` to the number at ``key`` (0 where unset) and return the sum."""
        self._lack("add")

    def compare_set(self, key: str, expected_value: bytes | str, desired_value: bytes | str) -> bytes:
        """Set ``key`` if its value is the expected one (empty: if it is unset); return what is there then.

        Where the key is unset and a value was expected, that value comes back.
        """
        self._lack("compare_set")

    def append(self, key: str, value: bytes | str) -> None:
        """Put ``value`` behind what is at ``key``."""
        self._lack("append")

    def check(self, keys: Sequence[str]) -> bool:
        """Return whether all ``keys`` are set, without waiting."""
        self._lack("check")

    def wait(self, keys: Sequence[str], timeout: Timeout | None = None, *, ranks: Iterable[int] = ()) -> None:
        """Wait until all ``keys`` are set."""
        self._lack("wait")

    def delete_key(self, key: str) -> bool:
        """Delete ``key`` and return whether it was set."""
        self._lack("delete_key")

    def num_keys(self) -> int:
        """Return how many keys are set, the store's own included."""
        self._lack("num_keys")

    def list_keys(self) -> list[str]:
        """Return the keys that are set."""
        self._lack("list_keys")

    def queue_push(self, key: str, value: bytes | str) -> None:
        """Put ``value`` at the end of the queue ``key``."""
        self._lack("queue_push")

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        """Take the first element of the queue ``key``, waiting for one if ``block``.

        Raises:
            QueueEmptyError: there is none, and ``block`` is false.
        """
        self._lack("queue_pop")

    def queue_len(self, key: str) -> int:
        """Return how many elements the queue ``key`` has."""
        self._lack("queue_len")

    def clone(self) -> "Store":
        """Return another store object on the same keys."""
        self._lack("clone")

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        """Wait until all ``keys`` are set and return their values."""
        self.wait(keys)
        return [self.get(key) for key in keys]

    def multi_set(self, keys: Sequence[str], values: Sequence[bytes | str]) -> None:
        """Set every key to the value at its place."""
        names, data = texts(keys, "multi_set"), pairs_with(keys, values)
        for key, value in zip(names, data, strict=True):
            self.set(key, value)

    def has_extended_api(self) -> bool:
        """Return whether ``append``, ``multi_get`` and ``multi_set`` take one request each in PyTorch."""
        return False

    def barrier(self, key: str, world_size: int, timeout: Timeout | None = None) -> None:
        """Wait until ``world_size`` callers have come; a key serves once."""
        if self.add(f"{key}/num_members", 1) == world_size:
            self.set(f"{key}/last_member", b"1")
        self.wait([f"{key}/last_member"], timeout)

    def close(self) -> None:
        """Leave the store; one that has nothing to leave does nothing."""

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"cannot pickle {type(self).__name__!r} object; clone() gives another on the same keys"
        )

    def _seconds(self, timeout: Timeout | None, what: str) -> float:
        return seconds(self.timeout if timeout is None else timeout, what)

    def _get_s(self, timeout_s: float | None) -> float:
        return self._seconds(None if timeout_s is None else float(timeout_s), "get")

    def _lack(self, what: str) -> NoReturn:
        raise NotImplementedError(f"{type(self).__name__} does not implement {what}()")


class TableStore(Store):
    """A store whose keys are in a ``Table`` that it can change alone: what ``HashStore`` and ``FileStore`` share."""

    _PREFIX = ""  # of the users' keys, beside which the store keeps its own

    def _change(self, change: Callable[[Table], _Found]) -> _Found:
        """Apply ``change`` while nobody else reads or writes."""
        self._lack("_change")

    def _until(
        self, look: Callable[[Table], _Found | None], keys: list[str], timeout_s: float, ranks: Iterable[int]
    ) -> _Found:
        """Repeat ``look`` until it finds something; ``keys`` and ``ranks`` are what it waits for."""
        self._lack("_until")

    def set(self, key: str, value: bytes | str) -> None:
        name, data = self._name(key, "set"), encode(value, "set")
        self._change(lambda table: table.values.__setitem__(name, data))

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        name, wait_s = self._name(key, "get"), self._get_s(timeout_s)
        return self._until(lambda table: table.values.get(name), [text(key, "get")], wait_s, ranks)

    def add(self, key: str, amount: int) -> int:
        name, amount = self._name(key, "add"), number64(amount, "add")
        return self._change(lambda table: table.add(name, amount))

    def compare_set(self, key: str, expected_value: bytes | str, desired_value: bytes | str) -> bytes:
        name = self._name(key, "compare_set")
        expected, desired = encode(expected_value, "compare_set"), encode(desired_value, "compare_set")
        return self._change(lambda table: table.compare_set(name, expected, desired))

    def append(self, key: str, value: bytes | str) -> None:
        name, data = self._name(key, "append"), encode(value, "append")
        self._change(lambda table: table.append(name, data))

    def check(self, keys: Sequence[str]) -> bool:
        names = self._names(keys, "check")
        return self._change(lambda table: not table.missing(names))

    def wait(self, keys: Sequence[str], timeout: Timeout | None = None, *, ranks: Iterable[int] = ()) -> None:
        keys = texts(keys, "wait")
        names = self._names(keys, "wait")
        self._until(
            lambda table: None if table.missing(names) else True,
            keys,
            self._seconds(timeout, "wait"),
            ranks,
        )

    def delete_key(self, key: str) -> bool:
        name = self._name(key, "delete_key")
        return self._change(lambda table: table.delete(name))

    def num_keys(self) -> int:
        return self._change(lambda table: len(table.values))

    def list_keys(self) -> list[str]:
        prefix = self._PREFIX
        found = self._change(lambda table: list(table.values))
        return [name.removeprefix(prefix) for name in found if name.startswith(prefix)]

    def _name(self, key: str, what: str) -> str:
        return self._PREFIX + text(key, what)

    def _names(self, keys: Sequence[str], what: str) -> list[str]:
        return [self._PREFIX + key for key in texts(keys, what)]


def late(keys: Sequence[str], timeout_s: float) -> DistStoreError:
    """The error of a wait whose time is up."""
    awaited = f"{'key' if len(keys) == 1 else 'keys'} {', '.join(map(repr, keys))}"
    return DistStoreError(f"Wait timeout: waited {timeout_s:.1f} s for {awaited}")


def seconds(timeout: Timeout, what: str) -> float:
    """Return a time-out in seconds; raises TypeError for what is no time-out (an int is none, as in PyTorch)."""
    if isinstance(timeout, timedelta):
        return timeout.total_seconds()
    if isinstance(timeout, float):
        return timeout
    raise TypeError(f"{what}: a time-out is a datetime.timedelta or a float, got {type(timeout).__name__}")


def duration(timeout: Timeout, what: str) -> timedelta:
    """Return a time-out as a ``timedelta``; raises TypeError as ``seconds`` does."""
    return timeout if isinstance(timeout, timedelta) else timedelta(seconds=seconds(timeout, what))


def text(value: object, what: str) -> str:
    """Return ``value`` if it is a str, or UTF-8 (PyTorch takes keys as bytes, too)."""
    try:
        if isinstance(value, bytes | bytearray):
            return value.decode()
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeError as error:
        raise TypeError(f"{what}(): incompatible function arguments: expected UTF-8 ({error})") from None
    raise TypeError(f"{what}(): incompatible function arguments: expected a str, got {type(value).__name__}")


def texts(values: Iterable[str], what: str) -> list[str]:
    """Return ``values`` as a list if they are several str."""
    if isinstance(values, str | bytes) or not isinstance(values, _SEVERAL):
        raise TypeError(
            f"{what}(): incompatible function arguments: expected a list of str, got {type(values).__name__}"
        )
    return [text(value, what) for value in values]


def pairs_with(keys: Sequence[str], values: Sequence[bytes | str]) -> list[bytes]:
    """Return the values of ``multi_set`` as bytes, as many as there are keys."""
    if isinstance(values, str | bytes) or not isinstance(values, Sequence):
        raise TypeError(
            f"multi_set(): incompatible function arguments: expected a list of values, got {type(values).__name__}"
        )
    if len(keys) != len(values):
        raise DistStoreError(
            f"multiSet keys and values vectors must be of same size, got {len(keys)} and {len(values)}"
        )
    return [encode(value, "multi_set") for value in values]


def number(value: object, what: str) -> int:
    """Return ``value`` as an int, if it is a whole number."""
    if isinstance(value, float) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{what}(): incompatible function arguments: expected an int, got {type(value).__name__}"
        )
    return operator.index(value)


def number64(value: object, what: str) -> int:
    """Return ``value`` as an int, if it is a whole number of 64 bits."""
    found = number(value, what)
    if not -(1 << 63) <= found < 1 << 63:
        raise TypeError(
            f"{what}(): incompatible function arguments: expected an int of 64 bits, got one of {found.bit_length()}"
        )
    return found


def encode(value: object, what: str) -> bytes:
    """Return a value as bytes."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise TypeError(
        f"{what}(): incompatible function arguments: expected a value of str or bytes, got {type(value).__name__}"
    )
