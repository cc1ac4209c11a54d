"""What each opcode of a pickle does to the interpreter's stack, by its code (``unpickling.py``).

Opcodes put plain values on a stack and combine them; they can do no harm, but for their size, which is checked. The
three that can (naming a class, calling, and setting state) are the builder's business (``building.py``).
"""

from __future__ import annotations

import codecs
import pickle
import pickletools
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from distrt.files.faults import UnpicklingError

if TYPE_CHECKING:
    from distrt.files.unpickling import Unpickler

__all__ = ["STEPS", "checked_key"]

_MOST_KEY = 128  # members of a key of a dict, all in all: hashing tuples is recursive, and never remembered

_Step: TypeAlias = "Callable[[Unpickler], None]"

#: By an opcode's number, its step; None for what is no opcode, or not one that is read, and for that which ends.
STEPS: list[_Step | None] = [None] * 256


def _on(*names: str) -> Callable[[_Step], _Step]:
    """A decorator: the step that opcodes take."""

    def decorate(step: _Step) -> _Step:
        for name in names:
            STEPS[_CODES[name]] = step
        return step

    return decorate


_CODES = {each.name: ord(each.code) for each in pickletools.opcodes}


def _push(name: str, value: Callable[[Unpickler], Any]) -> None:
    def step(self: Unpickler) -> None:
        pushed = value(self)  # which may change the stack
        self.stack.append(pushed)

    STEPS[_CODES[name]] = step


_U1, _U2, _U4, _U8 = (struct.Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_I4, _F8 = struct.Struct("<i"), struct.Struct(">d")

_NUMBERS = {"BININT": _I4, "BININT1": _U1, "BININT2": _U2, "BINFLOAT": _F8}
_TEXTS = {"SHORT_BINUNICODE": _U1, "BINUNICODE": _U4, "BINUNICODE8": _U8}
_BYTES = {"SHORT_BINBYTES": _U1, "BINBYTES": _U4, "BINBYTES8": _U8}
_OLD_TEXTS = {"SHORT_BINSTRING": _U1, "BINSTRING": _I4}
_LONGS = {"LONG1": _U1, "LONG4": _I4}


def _after_length(
    form: struct.Struct, value: Callable[[Unpickler, bytes], Any]
) -> Callable[[Unpickler], Any]:
    """The value of bytes that follow their number."""
    return lambda self: value(self, self.exactly(self.number(form)))


def _number_of(form: struct.Struct) -> Callable[[Unpickler], Any]:
    return lambda self: self.number(form)


for _name, _form in _NUMBERS.items():
    _push(_name, _number_of(_form))
for _name, _form in _TEXTS.items():
    _push(_name, _after_length(_form, lambda self, data: str(data, "utf-8", "surrogatepass")))
for _name, _form in _BYTES.items():
    _push(_name, _after_length(_form, lambda self, data: data))
for _name, _form in _OLD_TEXTS.items():
    _push(_name, _after_length(_form, lambda self, data: self.text(data)))
for _name, _form in _LONGS.items():
    _push(_name, _after_length(_form, lambda self, data: pickle.decode_long(data)))
_push("NONE", lambda self: None)
_push("NEWTRUE", lambda self: True)
_push("NEWFALSE", lambda self: False)
_push("EMPTY_LIST", lambda self: [])
_push("EMPTY_DICT", lambda self: {})
_push("EMPTY_TUPLE", lambda self: ())
_push("EMPTY_SET", lambda self: set())
_push("BYTEARRAY8", lambda self: bytearray(self.exactly(self.number(_U8))))
_push("UNICODE", lambda self: codecs.raw_unicode_escape_decode(self.line())[0])
_push("FLOAT", lambda self: float(self.line()))
_push("LONG", lambda self: int(self.line().rstrip(b"L") or b"0"))
_push("DUP", lambda self: self.stack[-1])
_push("TUPLE", lambda self: tuple(self.since_mark()))
_push("LIST", lambda self: self.since_mark())


@_on("INT")
def _int(self: Unpickler) -> None:
    line = self.line()
    self.stack.append(line == b"01" if line in (b"00", b"01") else int(line))


@_on("STRING")
def _string(self: Unpickler) -> None:
    line = self.line()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in b"'\"":
        raise UnpicklingError("the STRING opcode argument must be quoted")
    self.stack.append(self.text(codecs.escape_decode(line[1:-1])[0]))


@_on("PROTO")
def _protocol(self: Unpickler) -> None:
    version = self.exactly(1)[0]
    if version > pickle.HIGHEST_PROTOCOL:
        raise UnpicklingError(f"unsupported pickle protocol: {version}")


@_on("FRAME")
def _frame(self: Unpickler) -> None:
    if self.number(_U8) > self.limit:
        raise UnpicklingError("pickle data was truncated: a frame does not fit into the file")


@_on("MARK")
def _mark(self: Unpickler) -> None:
    self.marks.append(self.stack)
    self.stack = []


@_on("POP")
def _pop(self: Unpickler) -> None:
    if self.stack:
        self.stack.pop()
    else:
        self.since_mark()


@_on("POP_MARK")
def _pop_mark(self: Unpickler) -> None:
    self.since_mark()


@_on("TUPLE1")
def _tuple1(self: Unpickler) -> None:
    self.stack[-1:] = [(self.stack[-1],)]


@_on("TUPLE2")
def _tuple2(self: Unpickler) -> None:
    self.stack[-2:] = [(self.stack[-2], self.stack[-1])]


@_on("TUPLE3")
def _tuple3(self: Unpickler) -> None:
    self.stack[-3:] = [(self.stack[-3], self.stack[-2], self.stack[-1])]


@_on("DICT")
def _dict(self: Unpickler) -> None:
    items = self.since_mark()
    made: dict[Any, Any] = {}
    self.stack.append(made)
    _fill(made, items)


@_on("FROZENSET")
def _frozenset(self: Unpickler) -> None:
    self.stack.append(frozenset(map(checked_key, self.since_mark())))


@_on("APPEND")
def _append(self: Unpickler) -> None:
    item = self.stack.pop()
    self.target(list, "append").append(item)


@_on("APPENDS")
def _appends(self: Unpickler) -> None:
    items = self.since_mark()
    self.target(list, "append").extend(items)


@_on("ADDITEMS")
def _add_items(self: Unpickler) -> None:
    items = self.since_mark()
    self.target(set, "add").update(map(checked_key, items))


@_on("SETITEM")
def _set_item(self: Unpickler) -> None:
    value, key = self.stack.pop(), self.stack.pop()
    self.target(dict, "set items")[checked_key(key)] = value


@_on("SETITEMS")
def _set_items(self: Unpickler) -> None:
    items = self.since_mark()
    _fill(self.target(dict, "set items"), items)


def _fill(container: Any, items: list[Any]) -> None:
    if len(items) % 2:
        raise UnpicklingError("odd number of items for SETITEMS")
    for at in range(0, len(items), 2):
        container[checked_key(items[at])] = items[at + 1]


@_on("PUT")
def _put(self: Unpickler) -> None:
    self.remember(int(self.line()))


@_on("GET")
def _get(self: Unpickler) -> None:
    self.recall(int(self.line()))


@_on("BINPUT")
def _binput(self: Unpickler) -> None:
    self.memo[self.exactly(1)[0]] = self.stack[-1]


@_on("BINGET")
def _binget(self: Unpickler) -> None:
    self.recall(self.exactly(1)[0])


@_on("LONG_BINPUT")
def _long_binput(self: Unpickler) -> None:
    self.remember(self.number(_U4))


@_on("LONG_BINGET")
def _long_binget(self: Unpickler) -> None:
    self.recall(self.number(_U4))


@_on("MEMOIZE")
def _memoize(self: Unpickler) -> None:
    self.remember(len(self.memo))


@_on("GLOBAL")
def _global(self: Unpickler) -> None:
    module = self.line().decode()
    self.stack.append(self.builder.find(module, self.line().decode()))


@_on("STACK_GLOBAL")
def _stack_global(self: Unpickler) -> None:
    name, module = self.stack.pop(), self.stack.pop()
    if type(name) is not str or type(module) is not str:
        raise UnpicklingError("STACK_GLOBAL requires str")
    self.stack.append(self.builder.find(module, name))


@_on("REDUCE")
def _reduce(self: Unpickler) -> None:
    arguments = self.stack.pop()
    self.stack[-1] = self.builder.call(self.stack[-1], arguments)


@_on("NEWOBJ")
def _new_object(self: Unpickler) -> None:
    arguments = self.stack.pop()
    self.stack[-1] = self.builder.make(self.stack[-1], arguments, {})


@_on("NEWOBJ_EX")
def _new_object_ex(self: Unpickler) -> None:
    keywords, arguments = self.stack.pop(), self.stack.pop()
    self.stack[-1] = self.builder.make(self.stack[-1], arguments, keywords)


@_on("BUILD")
def _build(self: Unpickler) -> None:
    state = self.stack.pop()
    self.stack[-1] = self.builder.set_state(self.stack[-1], state)


@_on("BINPERSID")
def _binpersid(self: Unpickler) -> None:
    self.stack.append(self.builder.load(self.stack.pop()))


@_on("PERSID")
def _persid(self: Unpickler) -> None:
    self.stack.append(self.builder.load(self.line().decode()))


def checked_key(key: Any) -> Any:
    """A key of a dict, or a member of a set, that can be hashed at no cost.

    Raises:
        UnpicklingError: for huge numbers and for tuples of tuples, larger than programs write.
    """
    if type(key) is str:
        return key
    level: list[Any] = [key]
    count = depth = 0
    while level and count <= _MOST_KEY and depth <= _MOST_KEY:
        if any(type(each) is complex or (isinstance(each, int) and abs(each) >= 2**64) for each in level):
            break
        inner = [each for each in level if isinstance(each, tuple)]
        count += sum(map(len, inner))
        level = [each for group in inner for each in group] if count <= _MOST_KEY else inner
        depth += 1
    if level:
        raise UnpicklingError("a key of a dict is too large to be hashed")
    return key
