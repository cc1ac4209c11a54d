"""Facade: PyTorch's ``torch._VF``, its functions without what Python adds; recurrent layers of one's own call them."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    import distrt

    if name.startswith("__") or not callable(found := getattr(distrt, name, None)):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return found
