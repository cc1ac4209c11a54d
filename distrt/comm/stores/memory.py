"""PyTorch's stores ``HashStore``, in one process's memory, and ``PrefixStore``, a part of another store.

``distrt.distributed`` is the public path. Standard library only.
"""

# ruff: noqa: D102 - the methods of a store are described in ``base.Store``

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from distrt.comm.stores.base import Store, TableStore, Timeout, encode, late, text, texts
from distrt.comm.stores.table import Table
from distrt.core.errors import QueueEmptyError

__all__ = ["HashStore", "PrefixStore"]

_LONGEST_SLEEP_S = 3600.0  # a condition's clock ends after some hundred years

_Found = TypeVar("_Found")


class HashStore(TableStore):
    """A store in this process's memory, for its threads."""

    def __init__(self) -> None:
        super().__init__()
        self._table = Table()
        self._changed = threading.Condition()

    def _change(self, change: Callable[[Table], _Found]) -> _Found:
        with self._changed:
            try:
                return change(self._table)
            finally:
                self._changed.notify_all()

    def _until(
        self, look: Callable[[Table], _Found | None], keys: list[str], timeout_s: float, ranks: Iterable[int]
    ) -> _Found:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while (found := look(self._table)) is None:
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    raise late(keys, timeout_s)
                self._changed.wait(min(remaining_s, _LONGEST_SLEEP_S))
        return found

    def queue_push(self, key: str, value: bytes | str) -> None:
        name, data = self._name(key, "queue_push"), encode(value, "queue_push")
        self._change(lambda table: table.push(name, data))

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        name = self._name(key, "queue_pop")
        if block:
            return self._until(lambda table: table.pop(name), [key], self._seconds(None, "queue_pop"), ())
        value = self._change(lambda table: table.pop(name))
        if value is None:
            raise QueueEmptyError(f"queue is empty: {key!r}")
        return value

    def queue_len(self, key: str) -> int:
        name = self._name(key, "queue_len")
        return self._change(lambda table: table.queue_length(name))

    def has_extended_api(self) -> bool:
        return True

    def clone(self) -> "HashStore":
        twin = HashStore()
        twin._table, twin._changed, twin._timeout = self._table, self._changed, self._timeout
        return twin


class PrefixStore(Store):
    """Another store, with ``prefix/`` before every key."""

    def __init__(self, prefix: str, store: Store) -> None:
        super().__init__()
        self._prefix = text(prefix, "PrefixStore")
        if store is None:
            raise ValueError("PrefixStore: store argument cannot be None")
        if not hasattr(store, "set") or not hasattr(store, "get"):
            raise TypeError(f"PrefixStore: expected a store, got {type(store).__name__}")
        self._store = store

    @property
    def underlying_store(self) -> Store:
        """The other store."""
        return self._store

    @property
    def _underlying_non_prefix_store(self) -> Store:
        store = self._store
        while isinstance(store, PrefixStore):
            store = store._store
        return store

    @property
    def timeout(self) -> timedelta:
        """The other store's."""
        return self._store.timeout

    def set_timeout(self, timeout: Timeout) -> None:
        self._store.set_timeout(timeout)

    def set(self, key: str, value: bytes | str) -> None:
        self._store.set(self._name(key, "set"), value)

    def get(self, key: str, timeout_s: float | None = None, *, ranks: Iterable[int] = ()) -> bytes:
        name = self._name(key, "get")
        if timeout_s is None and not ranks:  # a store of the user's own may have PyTorch's signature
            return self._store.get(name)
        return self._store.get(name, timeout_s, ranks=ranks)

    def add(self, key: str, amount: int) -> int:
        return self._store.add(self._name(key, "add"), amount)

    def compare_set(self, key: str, expected_value: bytes | str, desired_value: bytes | str) -> bytes:
        return self._store.compare_set(self._name(key, "compare_set"), expected_value, desired_value)

    def append(self, key: str, value: bytes | str) -> None:
        self._store.append(self._name(key, "append"), value)

    def check(self, keys: Sequence[str]) -> bool:
        return self._store.check(self._names(keys, "check"))

    def wait(self, keys: Sequence[str], timeout: Timeout | None = None, *, ranks: Iterable[int] = ()) -> None:
        options: dict[str, Any] = {"ranks": ranks} if ranks else {}
        self._store.wait(self._names(keys, "wait"), *(() if timeout is None else (timeout,)), **options)

    def delete_key(self, key: str) -> bool:
        return self._store.delete_key(self._name(key, "delete_key"))

    def num_keys(self) -> int:
        return self._store.num_keys()

    def list_keys(self) -> list[str]:
        prefix = f"{self._prefix}/"
        return [key.removeprefix(prefix) for key in self._store.list_keys() if key.startswith(prefix)]

    def multi_get(self, keys: Sequence[str]) -> list[bytes]:
        return self._store.multi_get(self._names(keys, "multi_get"))

    def multi_set(self, keys: Sequence[str], values: Sequence[bytes | str]) -> None:
        self._store.multi_set(self._names(keys, "multi_set"), values)

    def queue_push(self, key: str, value: bytes | str) -> None:
        self._store.queue_push(self._name(key, "queue_push"), value)

    def queue_pop(self, key: str, block: bool = True) -> bytes:
        return self._store.queue_pop(self._name(key, "queue_pop"), block)

    def queue_len(self, key: str) -> int:
        return self._store.queue_len(self._name(key, "queue_len"))

    def has_extended_api(self) -> bool:
        return self._store.has_extended_api()

    def clone(self) -> "PrefixStore":
        return PrefixStore(self._prefix, self._store.clone())

    def _name(self, key: str, what: str) -> str:
        return f"{self._prefix}/{text(key, what)}"

    def _names(self, keys: Sequence[str], what: str) -> list[str]:
        return [f"{self._prefix}/{key}" for key in texts(keys, what)]
