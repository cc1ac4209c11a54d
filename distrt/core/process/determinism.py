"""The wish for deterministic algorithms, for the whole process.

Every operation here gives the same bits for the same input, whether or not it is asked to. So none is refused, and none
warns: what the wish changes is that new memory is filled with values that are noticed when they are used.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = [
    "are_deterministic_algorithms_enabled",
    "fill_uninitialized",
    "get_deterministic_debug_mode",
    "is_deterministic_algorithms_warn_only_enabled",
    "set_deterministic_debug_mode",
    "use_deterministic_algorithms",
]

_MODES = ("default", "warn", "error")


class _Wish:
    """What has been asked for."""

    is_on = False
    warns_only = False
    fills_memory = True


wish = _Wish()


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for the same bits for the same input, which is the case anyway, and has new memory filled.

    Args:
        mode: True or False.
        warn_only: of operations that are not deterministic, of which there are none; remembered.
    """
    for said, value in (("'mode' (position 1)", mode), ("'warn_only'", warn_only)):
        if not isinstance(value, bool):
            raise TypeError(
                f"_set_deterministic_algorithms(): argument {said} must be bool, not {type(value).__name__}"
            )
    wish.is_on, wish.warns_only = mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """True after ``use_deterministic_algorithms(True)``."""
    return wish.is_on


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """True after ``use_deterministic_algorithms(..., warn_only=True)``."""
    return wish.warns_only


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """The same wish by name or number: "default" or 0, "warn" or 1, "error" or 2."""
    if not isinstance(debug_mode, int | str):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _MODES:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                + debug_mode
            )
        debug_mode = _MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode != 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode() -> int:
    """0, 1 or 2, as above."""
    return (1 if wish.warns_only else 2) if wish.is_on else 0


def fill_uninitialized(array: Any) -> Any:
    """The array, new and not written to yet: filled with NaN, the largest integer or True, where that is wished for."""
    if wish.is_on and wish.fills_memory:
        kind = array.dtype.kind
        array.fill(np.iinfo(array.dtype).max if kind in "iu" else kind == "b" or np.nan)
    return array
