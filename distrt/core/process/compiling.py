"""The options of ``distrt.compile``, which are checked and not used: code runs as it is written."""

from __future__ import annotations

from typing import Any

_MODES = ("default", "lite", "reduce-overhead", "max-autotune-no-cudagraphs", "max-autotune")


def check_options(mode: str | None, options: dict[str, Any] | None, backend: Any = "inductor") -> None:
    """Raises RuntimeError where both are given, or a mode that PyTorch's own backend does not know."""
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    if mode is not None and backend == "inductor" and mode not in _MODES:
        raise RuntimeError(f"Unrecognized mode={mode}, should be one of: {', '.join(_MODES)}")
