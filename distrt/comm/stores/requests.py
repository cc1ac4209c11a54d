"""What members may ask of the store's server, and how each request is read: nothing in it is taken on trust.

Standard library only.
"""

import time
from collections.abc import Callable

from distrt.comm.stores import wire
from distrt.comm.stores.table import Table
from distrt.core.errors import RendezvousError

__all__ = ["carry_out", "refusal"]

_MAX_TEXT = 500  # characters of an error
_FAULTS = (KeyError, TypeError, ValueError, OverflowError, RendezvousError)


def carry_out(table: Table, request: wire.Message) -> tuple[wire.Message, str | None]:
    """Do what ``request`` says: the answer, and the key that has a new value, if one has."""
    name = request.get("op")
    operation = _OPERATIONS.get(name) if isinstance(name, str) else None
    if operation is None:
        return refusal(f"the store has no operation {name!r}"), None
    try:
        return operation(table, request)
    except _FAULTS as error:
        what = f"{error} is missing" if type(error) is KeyError else str(error)
        return refusal(f"{name}: {what}"), None


def refusal(text: str) -> wire.Message:
    """The answer to a request that cannot be carried out."""
    return {"error": "request", "text": text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"}


_Done = tuple[wire.Message, str | None]


def _set(table: Table, request: wire.Message) -> _Done:
    key = _key(request)
    table.values[key] = wire.decode_value(request["value"])
    return {}, key


def _add(table: Table, request: wire.Message) -> _Done:
    key, amount = _key(request), request["amount"]
    if type(amount) is not int or not -(1 << 63) <= amount < 1 << 63:
        raise TypeError("amount must be a whole number of 64 bits")
    return {"total": table.add(key, amount)}, key


def _compare_set(table: Table, request: wire.Message) -> _Done:
    key = _key(request)
    expected, desired = wire.decode_value(request["expected"]), wire.decode_value(request["desired"])
    return {"value": table.compare_set(key, expected, desired)}, key


def _append(table: Table, request: wire.Message) -> _Done:
    key, value = _key(request), wire.decode_value(request["value"])
    size = len(table.values.get(key, b"")) + len(value)
    if size > wire.MAX_VALUE_BYTES:
        raise ValueError(
            f"the value would have {size} bytes, at most {wire.MAX_VALUE_BYTES} are allowed; key {key!r}"
        )
    table.append(key, value)
    return {}, key


def _push(table: Table, request: wire.Message) -> _Done:
    key = _key(request)
    table.push(key, wire.decode_value(request["value"]))
    return {}, key


def _check(table: Table, request: wire.Message) -> _Done:
    keys = request["keys"]
    if not isinstance(keys, list) or not all(type(key) is str for key in keys):
        raise TypeError("keys must be a list of strings")
    return {"found": all(table.has(key) for key in keys)}, None


def _delete_key(table: Table, request: wire.Message) -> _Done:
    return {"found": table.delete(_key(request))}, None


def _num_keys(table: Table, request: wire.Message) -> _Done:
    return {"count": len(table.values)}, None


def _list_keys(table: Table, request: wire.Message) -> _Done:
    """As many keys as fit in one answer, from ``start`` on; and whether there are more."""
    start, size = request.get("start", 0), 0
    found: list[str] = []
    if type(start) is not int or start < 0:
        raise TypeError("start must be a whole number, at least 0")
    keys = list(table.values)
    for key in keys[start:]:
        size += 6 * len(key) + 3  # what JSON may make of it: "\\u0000" of one character
        if found and size > wire.MAX_FRAME_BYTES // 2:
            break
        found.append(key)
    return {"keys": found, "are_more": start + len(found) < len(keys)}, None


def _clock(table: Table, request: wire.Message) -> _Done:
    """The time here, for clients that align their clocks (`distrt.comm.clocks`)."""
    return {"ns": time.perf_counter_ns()}, None


def _queue_length(table: Table, request: wire.Message) -> _Done:
    return {"count": table.queue_length(_key(request))}, None


def _key(request: wire.Message) -> str:
    key = request["key"]
    if type(key) is not str:
        raise TypeError("key must be a string")
    return key


_OPERATIONS: dict[str, Callable[[Table, wire.Message], _Done]] = {
    "set": _set,
    "add": _add,
    "append": _append,
    "check": _check,
    "clock": _clock,
    "compare_set": _compare_set,
    "delete_key": _delete_key,
    "list_keys": _list_keys,
    "num_keys": _num_keys,
    "push": _push,
    "queue_length": _queue_length,
}
