"""Anomaly mode: each node remembers the lines that recorded it, and a gradient that is not a number is an error.

The mode belongs to a thread, as every other.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import numpy as np

from distrt.core.arrays import is_array
from distrt.core.autograd.node import Node
from distrt.core.errors import AutogradError
from distrt.core.modes import modes
from distrt.core.process.users_code import warn

_STACK, _PARENT = "traceback_", "parent_"  # PyTorch's names in Node.metadata
_INSIDE = str(Path(__file__).parents[1])  # the frames of distrt.core are of no use to the reader


def is_anomaly_enabled() -> bool:
    """True while anomaly mode is on."""
    return modes.backward_watcher is not None


def is_anomaly_check_nan_enabled() -> bool:
    """True where gradients are searched for NaN; also the answer while anomaly mode is off, as in PyTorch."""
    return modes.backward_watcher is None or bool(modes.backward_watcher.check_nan)


def _switch(is_on: bool, check_nan: bool) -> None:
    for position, (name, value) in enumerate((("enabled", is_on), ("check_nan", check_nan)), 1):
        if not isinstance(value, bool):
            place, kind = f"'{name}' (position {position})", type(value).__name__
            raise TypeError(f"set_anomaly_enabled(): argument {place} must be bool, not {kind}")
    modes.backward_watcher = _Watcher(check_nan) if is_on else None
    modes.watch_with("anomaly", _remember if is_on else None)


class set_detect_anomaly:  # noqa: N801 - PyTorch's own spelling
    """Switches anomaly mode at once; as a context manager, for the block only."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._outer = (is_anomaly_enabled(), is_anomaly_check_nan_enabled())
        _switch(mode, check_nan)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        _switch(*self._outer)


class detect_anomaly:  # noqa: N801
    """Anomaly mode for a block: run the forward and the backward pass inside.

    An error in the backward pass then shows the line of the forward pass that it belongs to, and with ``check_nan`` a
    gradient with NaN is such an error.
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check_nan = check_nan
        warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
            "debugging."
        )

    def __enter__(self) -> None:
        self._outer = (is_anomaly_enabled(), is_anomaly_check_nan_enabled())
        _switch(True, self._check_nan)

    def __exit__(self, *exception: object) -> None:
        _switch(*self._outer)


def _remember(node: Node) -> None:
    node.metadata[_STACK] = "".join(traceback.format_list(_frames()))
    if modes.backward_watcher is not None and modes.backward_watcher.running is not None:
        node.metadata[_PARENT] = modes.backward_watcher.running


def _frames() -> list[traceback.FrameSummary]:
    frames = list(traceback.extract_stack())
    while frames and (frames[-1].filename.startswith(_INSIDE) or frames[-1].filename.startswith("<op ")):
        frames.pop()
    return frames


class _Watcher:
    """Runs nodes in the engine's place, and says which one failed."""

    def __init__(self, check_nan: bool) -> None:
        self.check_nan = check_nan
        self.running: Node | None = None

    def run(self, current: Any, node: Node, gradients: Any) -> Any:
        """The gradients of the node's inputs.

        Raises:
            AutogradError: for one that contains NaN.
        """
        outer, self.running = self.running, node
        try:
            results = current.differentiate(node, gradients)
            if self.check_nan:
                _require_numbers(node, results)
        except Exception as error:
            _blame(node, error)
            raise
        finally:
            self.running = outer
        return results

    def gradients(self, current: Any, node: Node, needed: Any) -> Any:
        """What has come to the node, past the hooks on it."""
        try:
            return current.gradients_of(node, needed)
        except Exception as error:
            _blame(node, error)
            raise


def _require_numbers(node: Node, results: Any) -> None:
    for index, result in enumerate(results):
        array = getattr(result, "_array", result)
        is_found = is_array(array) or isinstance(array, np.generic)
        if is_found and array.dtype.kind not in "biu" and np.isnan(array).any():
            raise AutogradError(f"Function '{node.name()}' returned nan values in its {index}th output.")


def _blame(node: Node, error: Exception) -> None:
    """Warns with the forward lines of the node, and of the nodes whose backward pass recorded it."""
    stack = node.metadata.get(_STACK)
    if stack is None:
        _say(
            f"Error detected in {node.name()}. No forward pass information available. Enable detect anomaly during "
            "forward pass for more information.",
            error,
        )
        return
    _say(f"Error detected in {node.name()}. Traceback of forward call that caused the error:\n{stack}", error)
    parent = node.metadata.get(_PARENT)
    while parent is not None:
        induced = parent.metadata.get(_STACK, "No forward pass information available.")
        _say(
            f"\n\nPrevious calculation was induced by {parent.name()}. Traceback of forward call that induced the "
            f"previous calculation:\n{induced}",
            error,
        )
        parent = parent.metadata.get(_PARENT)


def _say(text: str, error: Exception) -> None:
    try:
        warn(text)
    except UserWarning:  # warnings are errors here: the one that is under way must not be lost
        error.add_note(text)
