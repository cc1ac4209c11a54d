"""Signatures of operations as text: ``mul(Tensor x, float k=2.0) -> Tensor``, PyTorch's way to write them."""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

from distrt.core import schema_values
from distrt.core.device import device
from distrt.core.dtypes.dtype import dtype
from distrt.core.tensor import Tensor

__all__ = ["Argument", "Schema", "infer_schema", "parsed"]

_MISSING = inspect.Parameter.empty


@dataclasses.dataclass
class Argument:
    """One parameter: ``Tensor(a!) x``, ``int[] dims=[]``."""

    name: str
    type: str
    default: Any = _MISSING
    is_mutated: bool = False
    is_keyword_only: bool = False

    def __str__(self) -> str:
        default = "" if self.default is _MISSING else f"={_default_text(self.default)}"
        return f"{self.type} {self.name}{default}"

    @property
    def is_list(self) -> bool:
        """True for a list of tensors."""
        return self.type.startswith("Tensor") and "[" in self.type


@dataclasses.dataclass
class Schema:
    """A whole signature."""

    name: str
    arguments: list[Argument]
    returns: str

    def __str__(self) -> str:
        parts = []
        for each in self.arguments:
            if each.is_keyword_only and "*" not in parts:
                parts.append("*")
            parts.append(str(each))
        return f"{self.name}({', '.join(parts)}) -> {self.returns}"

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """A call's arguments, all in their places.

        Raises:
            RuntimeError: for a call that does not fit.
        """
        name = self.name
        most = len(self.arguments)
        if len(args) + len(kwargs) > most:
            raise RuntimeError(
                f"{name}() expected at most {most} argument(s) but received {len(args) + len(kwargs)} argument(s). "
                f"Declaration: {self}"
            )
        places = [each.name for each in self.arguments if not each.is_keyword_only]
        if len(args) > len(places):
            raise RuntimeError(
                f"{name}() takes {len(places)} positional argument(s) but {len(args)} was/were given.  "
                f"Declaration: {self}"
            )
        given = dict(zip(places, args, strict=False))
        twice = next((each for each in kwargs if each in given), None)
        if twice is not None:
            raise RuntimeError(
                f"Argument '{twice}' specified both as positional and keyword argument. Schema: {self}"
            )
        unknown = [each for each in kwargs if each not in {a.name for a in self.arguments}]
        if unknown:
            raise RuntimeError(
                f"Unknown keyword argument '{unknown[0]}' for operator '{name}'. Schema: {self}"
            )
        given |= kwargs
        values = []
        for place, each in enumerate(self.arguments):
            value = given.get(each.name, each.default)
            if value is _MISSING:
                raise RuntimeError(
                    f"{name}() is missing value for argument '{each.name}'. Declaration: {self}"
                )
            values.append(self._read(place, each, value))
        return values

    def _read(self, place: int, argument: Argument, value: Any) -> Any:
        try:
            return schema_values.read(argument.type, value)
        except TypeError:
            raise RuntimeError(
                f"{self.name}() Expected a value of type '{schema_values.described(argument.type)}' for argument "
                f"'{argument.name}' but instead found type '{type(value).__name__}'.\nPosition: {place}\n"
                f"Value: {value!r:.80}\nDeclaration: {self}"
            ) from None


def parsed(text: str) -> Schema:
    """A signature from its text.

    Raises:
        ValueError: for text that is none.
    """
    found = re.fullmatch(r"\s*([\w:.]+)\s*\((.*)\)\s*->\s*(.+?)\s*", text, re.DOTALL)
    if found is None:
        raise ValueError(
            f"{text!r} is no signature: expected one as in 'name(Tensor x, float k=1.0) -> Tensor'"
        )
    name, inside, returns = found.groups()
    arguments: list[Argument] = []
    is_keyword_only = False
    for part in _apart(inside):
        if part == "*":
            is_keyword_only = True
            continue
        match = re.fullmatch(
            r"(\w+(?:\([\w!|\->* ]*\))?(?:\[\d*\])?\??(?:\[\d*\])?\??)\s+(\w+)(?:\s*=\s*(.+))?", part
        )
        if match is None:
            raise ValueError(
                f"{text!r}: {part!r} is no parameter: expected its type, its name and perhaps '=default'"
            )
        kind, parameter, default = match.groups()
        value = _MISSING if default is None else schema_values.default(kind, _value(default))
        arguments.append(Argument(parameter, kind, value, "!" in kind, is_keyword_only))
    return Schema(name, arguments, returns)


def _apart(text: str) -> Iterable[str]:
    """The parts between commas that are not in brackets, nor in a string."""
    depth, start, quote = 0, 0, ""
    for place, letter in enumerate(text + ","):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "," and not depth:
            if text[start:place].strip():
                yield text[start:place].strip()
            start = place + 1
        else:
            depth += (letter in "([") - (letter in ")]")


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text


def _default_text(value: Any) -> str:
    if isinstance(value, dtype):
        return str(value).removeprefix("torch.")
    return f'"{value}"' if isinstance(value, str | device) else str(value)


# From a function's annotations

_KINDS: dict[Any, str] = {
    Tensor: "Tensor",
    int: "SymInt",
    float: "float",
    bool: "bool",
    str: "str",
    dtype: "ScalarType",
    device: "Device",
}


def infer_schema(
    prototype_function: Callable[..., Any],
    /,
    *,
    mutates_args: str | Iterable[str],
    op_name: str | None = None,
) -> str:
    """The signature of a function, from its annotations.

    Args:
        prototype_function: the function; every parameter and the result are annotated.
        mutates_args: the names of the parameters that it changes in place; "unknown": all of them.
        op_name: a name to begin with.

    Raises:
        ValueError: for an annotation that is missing, or not known.
    """
    signature = inspect.signature(prototype_function)
    hints = typing.get_type_hints(prototype_function)
    if isinstance(mutates_args, str) and mutates_args != "unknown":
        raise ValueError(
            "mutates_args must either be a sequence of the names of the arguments that are mutated or the string "
            "'unknown'. "
        )
    mutated = set(signature.parameters) if mutates_args == "unknown" else set(mutates_args)
    unknown = mutated - set(signature.parameters)
    if unknown:
        raise ValueError(
            f"infer_schema(func): {sorted(unknown)} in mutates_args were not found in the function signature."
        )
    arguments, changed = [], 0
    for name, parameter in signature.parameters.items():
        if name not in hints:
            raise ValueError(
                f"infer_schema(func): Parameter {name} must have a type annotation. Got func with signature "
                f"{signature})"
            )
        kind = _kind(hints[name], f"Parameter {name}", signature)
        if name in mutated and kind.startswith("Tensor"):
            kind, changed = kind.replace("Tensor", f"Tensor(a{changed}!)", 1), changed + 1
        is_keyword_only = parameter.kind is parameter.KEYWORD_ONLY
        arguments.append(Argument(name, kind, parameter.default, name in mutated, is_keyword_only))
    text = str(Schema("", arguments, _returned(hints.get("return", _MISSING), signature)))
    return f"{op_name or ''}{text}"


def _kind(hint: Any, where: str, signature: inspect.Signature) -> str:
    if hint in _KINDS:
        return _KINDS[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        others = [each for each in inner if each is not type(None)]
        optional = "?" if len(others) < len(inner) else ""
        if set(others) <= {int, float, bool} and len(others) > 1:
            return f"Scalar{optional}"
        if len(others) == 1 and optional:
            return f"{_kind(others[0], where, signature)}?"
    if origin in (list, collections.abc.Sequence) and len(inner) == 1:
        return f"{_kind(inner[0], where, signature)}[]"
    raise ValueError(
        f"infer_schema(func): {where} has unsupported type {hint}. The valid types are Tensor, int, float, bool, str, "
        f"dtype, device, lists of them, and each of these or None. Got func with signature {signature})"
    )


def _returned(hint: Any, signature: inspect.Signature) -> str:
    if hint is _MISSING:
        raise ValueError(
            f"infer_schema(func): The return type must be annotated. Got func with signature {signature})"
        )
    if hint in (None, type(None)):
        return "()"
    if typing.get_origin(hint) is tuple:
        return f"({', '.join(_kind(each, 'Return', signature) for each in typing.get_args(hint))})"
    return _kind(hint, "Return", signature)
