"""The text of a tensor, as PyTorch writes it: one width for all elements, long tensors summarised.

Source: the rules of ``torch._tensor_str`` with its default print options.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core import dtype as dt

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor

_PRECISION = 4
_SUMMARISED_ABOVE = 1000
_EDGE_ITEMS = 3
_LINE_WIDTH = 80
_UNSAID_DTYPES = (dt.float32, dt.complex64, dt.int64, dt.bool_)


def text_of(tensor: Tensor) -> str:
    """``tensor([1., 2.], requires_grad=True)``; a parameter says so in a line of its own."""
    opening = "tensor("
    array = tensor._array.astype(np.float32) if tensor.dtype is dt.bfloat16 else tensor._array
    notes = []
    if array.size == 0:
        body = "[]"
        if array.ndim != 1:
            notes.append(f"size={tuple(array.shape)}")
        if tensor.dtype is not dt.float32:
            notes.append(f"dtype={tensor.dtype}")
    else:
        body = _body(array, len(opening))
        if tensor.dtype not in _UNSAID_DTYPES:
            notes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    text = _with_notes(opening + body, notes, len(opening))
    return f"Parameter containing:\n{text}" if type(tensor).__name__ == "Parameter" else text


def _with_notes(text: str, notes: list[str], indent: int) -> str:
    last_line = len(text) - text.rfind("\n") + 1
    for note in notes:
        if last_line + len(note) + 2 > _LINE_WIDTH:
            text += ",\n" + " " * indent + note
            last_line = indent + len(note)
        else:
            text += ", " + note
            last_line += len(note) + 2
    return text + ")"


def _body(array: Any, indent: int) -> str:
    is_summarised = array.size > _SUMMARISED_ABOVE
    form = _Form(_edges(array) if is_summarised else array)
    return _nested(array, indent, form, is_summarised)


def _edges(array: Any) -> Any:
    """The elements that a summary shows."""
    for axis, size in enumerate(array.shape):
        if size > 2 * _EDGE_ITEMS:
            kept = [*range(_EDGE_ITEMS), *range(size - _EDGE_ITEMS, size)]
            array = np.take(array, kept, axis)
    return array


def _nested(array: Any, indent: int, form: _Form, is_summarised: bool) -> str:
    if array.ndim == 0:
        return form.text(array.item())
    is_cut = is_summarised and len(array) > 2 * _EDGE_ITEMS
    shown = [*array[:_EDGE_ITEMS], None, *array[-_EDGE_ITEMS:]] if is_cut else list(array)
    if array.ndim == 1:
        per_line: int = max(1, (_LINE_WIDTH - indent) // (form.width + 2))
        words = [" ..." if each is None else form.text(each.item()) for each in shown]
        lines: list[str] = [
            ", ".join(words[start : start + per_line]) for start in range(0, len(words), per_line)
        ]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    slices: list[str] = [
        "..." if each is None else _nested(each, indent + 1, form, is_summarised) for each in shown
    ]
    break_after = ",".ljust(array.ndim, "\n")
    return "[" + (break_after + " " * (indent + 1)).join(slices) + "]"


class _Form:
    """How each element of one tensor is written: integer-like, fixed or scientific, and how wide."""

    def __init__(self, array: Any) -> None:
        self.is_floating = array.dtype.kind == "f"
        self.is_whole = True
        self.is_scientific = False
        self.width = 1
        if not self.is_floating:
            self.width = max(len(self._plain(value)) for value in array.reshape(-1).tolist())
            return
        values = array.astype(np.float64).reshape(-1)
        values = values[np.isfinite(values) & (values != 0)]
        if values.size == 0:
            return
        smallest, largest = np.abs(values).min(), np.abs(values).max()
        self.is_whole = bool((values == np.ceil(values)).all())
        too_small = not self.is_whole and smallest < 1e-4
        self.is_scientific = bool(largest / smallest > 1000 or largest > 1e8 or too_small)
        self.width = max(len(self._plain(value)) for value in values.tolist())

    def _plain(self, value: Any) -> str:
        if not self.is_floating:
            return str(value)
        if self.is_scientific:
            return f"{value:.{_PRECISION}e}"
        if self.is_whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_PRECISION}f}"

    def text(self, value: Any) -> str:
        """One element, padded to the common width."""
        return self._plain(value).rjust(self.width)
