"""``pad``: more elements around the last dims of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distrt.core import ops
from distrt.core.arrays import require_array
from distrt.core.autocast import raised
from distrt.core.errors import NoKernelError, ShapeError
from distrt.core.modes import modes
from distrt.core.ops.pointwise.type_names import scalar_type
from distrt.core.tensor import Tensor

__all__ = ["pad"]

Pads = tuple[tuple[int, int], ...]


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Elements before and after each of the last dims; negative sizes cut off.

    Args:
        input: of any shape for "constant"; else of one, two or three padded dims, with one or two in front of them.
        pad: before and after the last dim, then before and after the one in front of it, and so on.
        mode: "constant", or the elements inside: "reflect" (mirrored at the edge), "replicate" (the edge itself),
            "circular" (those of the other end).
        value: of the constant, 0 where none is given.

    Raises:
        ShapeError: sizes that do not fit.
        NoKernelError: an unknown mode, or a number of dims that the mode does not pad.
    """
    require_array("pad", "input", input)
    pairs = _pairs(input, pad)
    if mode == "constant":
        if not pairs:
            return ops.clone(input)  # type: ignore[no-any-return]
        return ops.constant_pad(input, pairs, 0 if value is None else value)  # type: ignore[no-any-return]
    if value is not None and value != 0:
        raise ShapeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if not (len(pairs) in (1, 2, 3) and input.ndim in (len(pairs) + 1, len(pairs) + 2)):
        raise NoKernelError(
            f"Padding size {len(pad)} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode not in _MODES:
        raise NoKernelError(f"Unrecognised padding mode {mode}")
    _MODES[mode](input, pairs)
    if modes.autocast is not None and (mode == "replicate" or (mode == "reflect" and len(pairs) < 3)):
        input = raised(input)
    padded = {"reflect": ops.reflection_pad, "replicate": ops.replication_pad, "circular": ops.circular_pad}[
        mode
    ]
    return padded(input, pairs)  # type: ignore[no-any-return]


def _pairs(input: Tensor, pad: Any) -> Pads:
    """(before, after) of each padded dim, in the dims' order."""
    if not isinstance(pad, list | tuple):
        raise TypeError(f"pad(): argument 'pad' (position 2) must be tuple of ints, not {type(pad).__name__}")
    for number, each in enumerate(pad):
        if not hasattr(each, "__index__"):
            raise TypeError(
                "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of type "
                f"{type(each).__name__} at pos {number}"
            )
    sizes = [int(each) for each in pad]
    if len(sizes) % 2:
        raise ShapeError("Padding length must be divisible by 2")
    if len(sizes) > 2 * input.ndim:
        raise ShapeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(sizes)} and input of dimension {input.ndim}"
        )
    return tuple(zip(sizes[-2::-2], sizes[::-2], strict=True))


def _require_filled(name: str, input: Tensor, pairs: Pads) -> None:
    dims = len(pairs)
    first = input.ndim - dims - 1
    if 0 in input.shape[first:]:
        raise ShapeError(
            f"Expected {dims + 1}D or {dims + 2}D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    if input._array.dtype.kind == "b":
        raise NoKernelError(f"\"{name}_pad{dims}d\" not implemented for '{scalar_type(input)}'")


def _require_left(input: Tensor, pairs: Pads) -> None:
    spatial = input.shape[input.ndim - len(pairs) :]
    out = [n + before + after for n, (before, after) in zip(spatial, pairs, strict=True)]
    if max(out) < 1 or min(out) < 0:
        given, found = (
            [f"{axis}: {n}" for axis, n in zip("DHW"[-len(pairs) :], sizes, strict=True)]
            for sizes in (spatial, out)
        )
        raise ShapeError(f"input ({', '.join(given)}) is too small. Calculated output {' '.join(found)}")


def _require_reflect(input: Tensor, pairs: Pads) -> None:
    _require_filled("reflection", input, pairs)
    first = input.ndim - len(pairs)
    for number, (before, after) in reversed(list(enumerate(pairs))):
        n = input.shape[first + number]
        if before >= n or after >= n:
            raise ShapeError(
                f"Argument #{2 * (len(pairs) - number) + 2}: Padding size should be less than the corresponding input "
                f"dimension, but got: padding ({before}, {after}) at dimension {first + number} of input "
                f"{list(input.shape)}"
            )
    _require_left(input, pairs)


def _require_replicate(input: Tensor, pairs: Pads) -> None:
    _require_filled("replication", input, pairs)
    _require_left(input, pairs)


def _require_circular(input: Tensor, pairs: Pads) -> None:
    sizes = [(n, *pair) for n, pair in zip(input.shape[input.ndim - len(pairs) :], pairs, strict=True)]
    if any(before > n or after > n for n, before, after in sizes):
        raise ShapeError("Padding value causes wrapping around more than once.")
    if any(n + before + after < 0 for n, before, after in sizes):
        raise ShapeError("Negative padding value is resulting in an empty dimension")
    for n, before, after in sizes:
        if max(before, after) > n + min(before, 0) + min(after, 0):
            raise ShapeError(
                f"pad(): a circular padding of ({before}, {after}) needs more elements than it leaves of {n}"
            )


_MODES = {"reflect": _require_reflect, "replicate": _require_replicate, "circular": _require_circular}
