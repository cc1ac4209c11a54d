"""Builds what a pickle describes, under the rule of ``weights_only``; the memory of tensors comes from a ``Source``."""

from __future__ import annotations

import collections
import inspect
import types
from typing import Any, Protocol, cast

import numpy as np

from distrt.core.random.generator import Generator
from distrt.core.storage.storage import TypedStorage
from distrt.core.tensor import Tensor
from distrt.files import rebuilding, standard
from distrt.files.allowed import Rule
from distrt.files.faults import UnpicklingError, callers_code, quoted
from distrt.files.names import StorageType
from distrt.files.rebuilding import Budget

_DICTS = frozenset((dict, collections.OrderedDict, collections.Counter, collections.defaultdict))
_LISTS = frozenset((list, collections.deque))


class Source(Protocol):
    """Where storages come from."""

    def storage(
        self, kind: StorageType, key: str, location: str, count: int, rest: tuple[Any, ...]
    ) -> TypedStorage:
        """The storage of a key."""


class ObjectBuilder:
    """What an ``Unpickler`` asks: see its ``Builder``.

    Attributes:
        has_copied: whether a tensor was computed from its storage, which must have been filled before.
    """

    def __init__(self, rule: Rule, source: Source, file_size: int) -> None:
        self._rule = rule
        self._source = source
        self._budget = Budget(file_size)
        self.has_copied = False

    def find(self, module: str, name: str) -> Any:
        """The object of a name, where the rule allows it."""
        return self._rule.find(module, name)

    def call(self, function: Any, arguments: Any) -> Any:
        """What a call gives, where the rule allows it.

        Raises:
            UnpicklingError: where it does not.
        """
        if type(arguments) is not tuple:
            raise UnpicklingError(f"a call needs a tuple of arguments, got {quoted(arguments)}")
        if not _is_hashable(function):
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {quoted(function)}")
        if function in rebuilding.CALLABLE:
            if len(arguments) > 6:  # a conjugated or negated view is copied
                self.has_copied = True
                self._budget.spend(getattr(arguments[0], "nbytes", int)())
            return function(*arguments)
        if function in standard.CALLS:
            return standard.CALLS[function](self._budget, *arguments)
        if function is standard.RECONSTRUCTOR:
            return self._reconstructed(*arguments)
        if function is getattr:
            return self._bound_method(*arguments)
        if isinstance(function, type) and issubclass(function, np.dtype):
            return cast(Any, function)()
        if isinstance(function, type) and issubclass(function, Tensor):
            return self.make(function, arguments, {})
        if self._rule.may_call(function):
            with callers_code():
                return function(*arguments)
        raise UnpicklingError(f"Trying to call reduce for unrecognized function {quoted(function)}")

    def make(self, kind: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
        """A new object of a class, its ``__init__`` not called.

        Raises:
            UnpicklingError: for a class that the rule does not allow.
        """
        if type(arguments) is not tuple or type(keywords) is not dict:
            raise UnpicklingError(f"a new object needs a tuple of arguments, got {quoted(arguments)}")
        if _is_hashable(kind) and kind in standard.CALLS and not keywords:
            return standard.CALLS[kind](self._budget, *arguments)
        if isinstance(kind, type) and issubclass(kind, Tensor):
            if (
                kind is not Tensor
                and not keywords
                and all(isinstance(each, Tensor | bool) for each in arguments)
            ):
                return kind(*arguments)
        elif self._rule.may_make(kind):
            with callers_code():
                return kind.__new__(kind, *arguments, **keywords)
        raise UnpicklingError(
            "Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got "
            f"{quoted(kind)}"
        )

    def set_state(self, value: Any, state: Any) -> Any:
        """The object after its state was set.

        Raises:
            UnpicklingError: for an object of a class that the rule does not allow.
        """
        if isinstance(value, Tensor):
            return rebuilding.put_attributes(value, state)
        if isinstance(value, Generator):
            return rebuilding.put_in_place(value, state)
        if standard.set_state(value, state, self._budget):
            return value
        if not self._rule.may_make(type(value)):
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via `add_safe_globals`, but got "
                f"{type(value)}"
            )
        restore = getattr(value, "__setstate__", None)
        if restore is not None:
            with callers_code():
                restore(state)
            return value
        attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
        for name, each in (attributes or {}).items():
            vars(value)[name] = each
        for name, each in (slots or {}).items():
            setattr(value, name, each)
        return value

    def load(self, identity: Any) -> Any:
        """The storage, or in old files the class, that the pickle refers to outside itself.

        Raises:
            UnpicklingError: for anything else.
        """
        if type(identity) is not tuple or not identity:
            raise UnpicklingError(f"persistent_load id must be tuple or int, but got {type(identity)}")
        kind, *rest = identity
        if _text(kind) == "module" and len(rest) == 3:  # a class and its source, which is not looked at
            return rest[0]
        if _text(kind) != "storage" or len(rest) < 4:
            raise UnpicklingError(f"Only persistent_load of storage is allowed, but got {quoted(kind)}")
        storage_type, key, location, count, *others = rest
        if not isinstance(storage_type, StorageType) or type(count) is not int or count < 0:
            raise UnpicklingError(
                f"a storage of {quoted(count)} elements of {quoted(storage_type)} is no storage"
            )
        return self._source.storage(storage_type, _text(key), _text(location), count, tuple(others))

    def holds(self, container: Any, kind: type) -> bool:
        """True where the pickle may fill an object as a list, dict or set."""
        found = type(container)
        if kind is set:
            return found is set
        if found in (_DICTS if kind is dict else _LISTS):
            return True
        return isinstance(container, kind) and self._rule.may_make(found)

    def _bound_method(self, owner: Any, name: Any) -> Any:
        """A method of an object, as a value: hooks may be such methods."""
        function = inspect.getattr_static(type(owner), name, None) if isinstance(name, str) else None
        if not isinstance(function, types.FunctionType) or not self._rule.may_make(type(owner)):
            raise UnpicklingError(f"{quoted(name)} is no method of {type(owner)}")
        return types.MethodType(function, owner)

    def _reconstructed(self, kind: Any, base: Any, state: Any) -> Any:
        """A new object as protocols 0 and 1 write it."""
        if base is not object or state is not None:
            raise UnpicklingError(f"objects of class {quoted(kind)} need pickle protocol 2")
        return self.make(kind, (), {})


def _is_hashable(value: Any) -> bool:
    return isinstance(value, type) or inspect.isroutine(value)


def _text(value: Any) -> str:
    """A key or a location: pickles of Python 2 have bytes there."""
    text = value.decode("ascii") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise UnpicklingError(f"expected a name of a storage, got {quoted(value)}")
    return text
