"""Whether an example did the same on both libraries."""

from __future__ import annotations

import math
import re
from typing import Any

#: Numbers, also within a tensor's text; what is left between them is compared as it is.
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\binf\b|\bnan\b)")
_TOLERANCE = 2e-3


def differences(sources: list[str], ours: list[Any], theirs: list[Any]) -> list[str]:
    """What is wrong, statement by statement; what PyTorch itself cannot run says nothing."""
    found = []
    for number, (source, (printed, fault)) in enumerate(zip(sources, theirs, strict=False)):
        if fault is not None:
            continue
        if number >= len(ours):
            found.append(f"{source.strip()}\n  did not come to its end")
            break
        mine, raised = ours[number]
        if raised is not None:
            found.append(f"{source.strip()}\n  raised {raised}")
        elif not _same(mine, printed):
            found.append(
                f"{source.strip()}\n  ours: {mine.strip()[:600]}\n  PyTorch: {printed.strip()[:600]}"
            )
    return found


def _same(mine: str, expected: str) -> bool:
    """The same text, addresses and the library's name apart; or the same but for rounding in the last digits."""
    mine, expected = _told(mine), _told(expected)
    if mine == expected:
        return True
    if _NUMBER.sub("#", mine).split() != _NUMBER.sub("#", expected).split():
        return False
    pairs = list(zip(_NUMBER.findall(mine), _NUMBER.findall(expected), strict=True))
    return all(_close(float(a), float(b)) for a, b in pairs)


def _close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or a == b or abs(a - b) <= _TOLERANCE * max(1e-3, abs(b))


def _told(text: str) -> str:
    return re.sub(r"\bdistrt\.", "torch.", re.sub(r"0x[0-9a-f]+", "0x", text))
