"""The text of a tensor, as PyTorch writes it: one width for all elements, long tensors summarised.

Source: the rules of ``torch._tensor_str``. The options are the process's, as PyTorch's are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from distrt.core.arrays import is_meta, on_host
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import AutogradError
from distrt.core.sparse.array import is_sparse

if TYPE_CHECKING:
    from distrt.core.tensor import Tensor


@dataclasses.dataclass
class PrintOptions:
    """What ``set_printoptions`` sets; ``sci_mode`` None leaves it to the values."""

    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}

_options = PrintOptions()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed; what is not given stays, but ``sci_mode`` goes back to automatic.

    Args:
        precision: digits after the point.
        threshold: the number of elements above which a tensor is summarised.
        edgeitems: elements shown at either end of a summarised dim.
        linewidth: characters per line.
        profile: "default", "short" or "full"; the other arguments override it.
        sci_mode: True for scientific notation always, False for never.
    """
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    chosen = dict(_PROFILES.get(profile or "", {}))
    chosen.update({name: value for name, value in given.items() if value is not None})
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The options, as ``set_printoptions`` takes them."""
    return dataclasses.asdict(_options)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """The options of ``set_printoptions`` for a block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


def text_of(tensor: Tensor, contents: str | None = None) -> str:
    """``tensor([1., 2.], requires_grad=True)``; a subclass opens with its own name, a parameter with a line of its own.

    Args:
        tensor: what to print.
        contents: what stands for the elements, for subclasses that print themselves.
    """
    kind = type(tensor).__name__
    is_of_parameters = any(each.__name__ == "Parameter" for each in type(tensor).__mro__)
    opening = "tensor(" if kind in ("Tensor", "Parameter") else f"{kind}("
    array = tensor._array
    if contents is None and is_sparse(array):
        body = _parts(array, len(opening))
        text = _with_notes(opening + body, _sparse_notes(tensor), len(opening), tensor.is_sparse)
    else:
        body = _body(array, len(opening)) if contents is None else contents
        text = _with_notes(opening + body, _notes(tensor), len(opening))
    if kind != "Parameter" and (is_of_parameters or getattr(tensor, "_is_param", False)):
        text = f"Parameter({text})"
    return f"Parameter containing:\n{text}" if is_of_parameters else text


def _notes(tensor: Tensor) -> list[str]:
    """What follows the elements: the size where it cannot be seen, a dtype that is not the usual one, the graph."""
    notes = [f"device='{tensor.device}'"] if not tensor.is_cpu else []
    default = dt.default.floating
    usual: tuple[Any, ...] = (
        default,
        dt.complex128 if default is dt.float64 else dt.complex64,
        dt.int64,
        dt.bool_,
    )
    if tensor.is_meta:
        notes.append(f"size={tuple(tensor.shape)}")
        usual = (default,)  # there are no elements to see it by
    elif not tensor._array.size:
        if tensor._array.ndim != 1:
            notes.append(f"size={tuple(tensor.shape)}")
        usual = (default,)  # there are no elements to see it by
    elif not _options.edgeitems:
        notes.append(f"size={tuple(tensor.shape)}")
    if tensor.dtype not in usual:
        notes.append(f"dtype={tensor.dtype}")
    return [*notes, *_history(tensor)]


def _history(tensor: Tensor) -> list[str]:
    """What made a tensor, or that it requires grad."""
    try:
        grad_fn = tensor.grad_fn
        name = None if grad_fn is None else grad_fn.name().rpartition("::")[2]
        if name is not None and tensor._one_of_several is not None:
            name = tensor._one_of_several[0]
    except AutogradError:
        name = "Invalid"  # a view made without grad mode and changed since
    if name is not None:
        return [f"grad_fn=<{name}>"]
    return ["requires_grad=True"] if tensor.requires_grad else []


#: What PyTorch calls the parts of a sparse tensor.
_PARTS = {
    "sparse_coo": ("indices", "values"),
    "sparse_csr": ("crow_indices", "col_indices", "values"),
    "sparse_csc": ("ccol_indices", "row_indices", "values"),
}


def _parts(array: Any, indent: int) -> str:
    """The parts of a sparse tensor, each as a tensor is printed."""
    texts = []
    for name, part in zip(_PARTS[array.layout.name], array.parts(), strict=True):
        opening = f"{name}=tensor("
        size = "" if part.size else f", size={tuple(part.shape)}"
        texts.append(opening + _body(part, indent + len(opening)) + size + ")")
    return (",\n" + " " * indent).join(texts)


def _sparse_notes(tensor: Tensor) -> list[str]:
    notes = [f"size={tuple(tensor.shape)}", f"nnz={tensor._array.nnz}"]
    default = dt.default.floating
    if tensor.dtype not in (
        default,
        dt.complex128 if default is dt.float64 else dt.complex64,
        dt.int64,
        dt.bool_,
    ):
        notes.append(f"dtype={tensor.dtype}")
    return [*notes, f"layout={tensor.layout}", *_history(tensor)]


def _with_notes(text: str, notes: list[str], indent: int, on_new_line: bool = False) -> str:
    last_line = len(text) - text.rfind("\n") + 1
    for note in notes:
        if on_new_line or last_line + len(note) + 2 > _options.linewidth:
            on_new_line = False
            text += ",\n" + " " * indent + note
            last_line = indent + len(note)
        else:
            text += ", " + note
            last_line += len(note) + 2
    return text + ")"


def _body(array: Any, indent: int) -> str:
    if is_meta(array):
        return "..."
    if not array.size:
        return "[]"
    array = on_host(array)
    if array.dtype.kind == "V":  # bfloat16, which Python cannot format
        array = array.astype(np.float32)
    is_summarised = array.size > _options.threshold
    shown = _edges(array) if is_summarised else array
    form: _Form | _ComplexForm = _ComplexForm(shown) if array.dtype.kind == "c" else _Form(shown)
    return _nested(array, indent, form, is_summarised)


def _edges(array: Any) -> Any:
    """The elements that a summary shows."""
    count = _options.edgeitems
    for axis, size in enumerate(array.shape):
        if size > 2 * count:
            array = np.take(array, [*range(count), *range(size - count, size)], axis)
    return array


def _nested(array: Any, indent: int, form: _Form | _ComplexForm, is_summarised: bool) -> str:
    if array.ndim == 0:
        return form.text(array.item())
    if array.ndim == 1:
        return _row(array, indent, form, is_summarised)
    slices: list[str] = [
        "..." if each is None else _nested(each, indent + 1, form, is_summarised)
        for each in _cut(array, is_summarised)
    ]
    rank: int = array.ndim
    return "[" + ("," + "\n" * (rank - 1) + " " * (indent + 1)).join(slices) + "]"


def _row(array: Any, indent: int, form: _Form | _ComplexForm, is_summarised: bool) -> str:
    per_line = max(1, (_options.linewidth - indent) // (form.width + 2))
    if is_summarised and not _options.edgeitems:
        words = ["..."]
    else:
        words = [" ..." if each is None else form.text(each.item()) for each in _cut(array, is_summarised)]
    lines = [", ".join(words[start : start + per_line]) for start in range(0, len(words), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _cut(array: Any, is_summarised: bool) -> list[Any]:
    """The slices along the first dim; where it is summarised, its ends and None between."""
    count = _options.edgeitems
    if not is_summarised or len(array) <= 2 * count:
        return list(array)
    return [*array[:count], None, *array[len(array) - count :]]


class _Form:
    """How each element of one tensor is written: integer-like, fixed or scientific, and how wide."""

    def __init__(self, array: Any) -> None:
        self.is_floating = array.dtype.kind == "f"
        self.is_whole = True
        self.is_scientific = False
        self.width = 1
        if not self.is_floating:
            self.width = max([1, *(len(str(value)) for value in array.reshape(-1).tolist())])
            return
        values = array.astype(np.float64).reshape(-1)
        values = values[np.isfinite(values) & (values != 0)]
        if values.size == 0:
            return
        smallest, largest = np.abs(values).min(), np.abs(values).max()
        self.is_whole = bool((values == np.ceil(values)).all())
        automatic = largest / smallest > 1000 or largest > 1e8 or smallest < 1e-4
        self.is_scientific = bool(automatic if _options.sci_mode is None else _options.sci_mode)
        self.width = max(len(self._plain(value)) for value in values.tolist())

    def _plain(self, value: Any) -> str:
        if not self.is_floating:
            return str(value)
        if self.is_scientific:
            return f"{value:.{_options.precision}e}"
        if self.is_whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options.precision}f}"

    def text(self, value: Any) -> str:
        """One element, padded to the common width."""
        return self._plain(value).rjust(self.width)


class _ComplexForm:
    """How complex elements are written: a form for either part."""

    def __init__(self, array: Any) -> None:
        self.real = _Form(array.real)
        self.imag = _Form(array.imag)
        self.width = self.real.width + self.imag.width + 1

    def text(self, value: Any) -> str:
        """One element: ``1.+2.j``."""
        imag = (self.imag.text(value.imag) + "j").lstrip()
        return self.real.text(value.real) + ("" if imag[0] in "+-" else "+") + imag
