"""YAML as people write it, of dictionaries, lists, texts and numbers: the standard library has none."""

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["documents"]

_PLAIN = re.compile(r"[A-Za-z/][\w./-]*( [\w./-]+)*")
_NOT_TEXT = frozenset("y n yes no on off true false null".split())


def documents(*values: dict[str, Any]) -> str:
    """Several objects in one file."""
    return "---\n".join("\n".join(_lines(value)) + "\n" for value in values)


def _lines(value: Any) -> Iterator[str]:
    """The lines of a dictionary or a list, without indentation."""
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, dict | list) and each:
                yield f"{_scalar(key)}:"
                yield from (f"  {line}" for line in _lines(each))
            else:
                yield f"{_scalar(key)}: {_scalar(each)}"
        return
    for each in value:
        first, *rest = _lines(each) if isinstance(each, dict | list) and each else [_scalar(each)]
        yield f"- {first}"
        yield from (f"  {line}" for line in rest)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    # JSON is YAML, too, but for characters that JSON writes as two halves; those that cannot be printed are numbers.
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each.isprintable() else _numbered(each) for each in text)


def _numbered(character: str) -> str:
    return f"\\U{ord(character):08x}"
