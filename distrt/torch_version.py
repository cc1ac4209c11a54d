"""Versions that compare as versions: ``torch.__version__ >= "2.3"`` holds for 2.13, which text does not give.

Source: PEP 440 as far as PyTorch's own versions use it.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["TorchVersion"]


class TorchVersion(str):
    """A version as text, compared with text or a tuple of numbers by its numbers; ``1.0rc1`` comes before ``1.0``."""

    __slots__ = ()

    def _held_against(self, other: Any) -> tuple[Any, Any] | None:
        mine, theirs = _key(self), _key(other)
        return None if mine is None or theirs is None else (mine, theirs)

    def __lt__(self, other: Any) -> bool:
        pair = self._held_against(other)
        return str.__lt__(self, other) if pair is None else bool(pair[0] < pair[1])

    def __le__(self, other: Any) -> bool:
        pair = self._held_against(other)
        return str.__le__(self, other) if pair is None else bool(pair[0] <= pair[1])

    def __gt__(self, other: Any) -> bool:
        pair = self._held_against(other)
        return str.__gt__(self, other) if pair is None else bool(pair[0] > pair[1])

    def __ge__(self, other: Any) -> bool:
        pair = self._held_against(other)
        return str.__ge__(self, other) if pair is None else bool(pair[0] >= pair[1])

    def __eq__(self, other: object) -> bool:
        pair = self._held_against(other)
        return str.__eq__(self, other) if pair is None else bool(pair[0] == pair[1])

    __ne__ = str.__ne__  # by its text, as PyTorch's
    __hash__ = str.__hash__


def _key(version: Any) -> tuple[Any, ...] | None:
    """What a version sorts by: its numbers without zeros at the end, before or after the release, the local part."""
    if isinstance(version, tuple | list):
        version = ".".join(str(each) for each in version)
    found = re.fullmatch(
        r"v?(\d+(?:\.\d+)*)(?:[._-]?(a|b|rc|dev|post)[._-]?(\d*))?(?:\.\w+)*(?:\+(.*))?",
        str(version).strip().lower(),
    )
    if found is None:
        return None
    numbers = [int(each) for each in found[1].split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    stage = {"dev": -4, "a": -3, "b": -2, "rc": -1, None: 0, "post": 1}[found[2]]
    return tuple(numbers), stage, int(found[3] or 0), found[4] or ""
