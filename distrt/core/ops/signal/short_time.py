"""The short-time Fourier transform: the spectrum of one window of a signal after the other, and the way back."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core import ops
from distrt.core.arrays import Array, beside, filled, known_or, require_array
from distrt.core.autocast import autocasts
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError, ShapeError
from distrt.core.ops.signal.fourier import fft_fft, fft_ifft, fft_irfft, fft_rfft
from distrt.core.process.users_code import warn
from distrt.core.tensor import wrap

__all__ = ["istft", "stft"]


@autocasts("full")
def stft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    """The spectra of windows of ``n_fft`` samples, ``hop_length`` (by default a quarter of that) apart.

    Args:
        input: signals. Shape: (time) or (batch, time).
        n_fft: samples in a window, and points of each transform.
        hop_length: samples from one window to the next.
        win_length: samples of ``window``; zeros on both sides fill it up to ``n_fft``.
        window: what each stretch of the signal is multiplied with; ones where none is given.
        center: windows are centred on their times, and the signal continues half a window beyond its ends.
        pad_mode: how it continues: "reflect", "replicate", "circular" or "constant" (zeros).
        normalized: divide by the square root of ``n_fft``.
        onesided: leave out the frequencies that real signals have twice; by default done where possible.
        return_complex: complex numbers, or pairs of real ones; must be given for real signals.
        align_to_window: as PyTorch has it: with ``center`` False, windows start where they are full.

    Shape: (…, time) -> (…, frequencies, windows).

    Raises:
        RuntimeError: for sizes that do not fit.
    """
    require_array("stft", "input", input)
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if window is None:
        _warn_of_no_window("stft")
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that "
                "return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if align_to_window is not None and center:
        raise RuntimeError(
            "stft align_to_window should only be set when center = false: there is no need to align a centred window"
        )
    _check_stft(input, n_fft, hop, length, window)
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    signal = ops.unsqueeze(input, 0) if input.ndim == 1 else input
    if center:
        signal = _continued(signal, n_fft // 2, pad_mode)
    frames = _frames(signal, n_fft, hop)
    if window is None and length < n_fft:
        window = wrap(filled(length, 1, input._array.real.dtype, input._array))
    if window is not None:
        frames = ops.mul(frames, _filled(window, n_fft))
    half = not is_complex if onesided is None else onesided
    norm = "ortho" if normalized else None
    spectra = ops.transpose((fft_rfft if half else fft_fft)(frames, norm=norm), 1, 2)
    if input.ndim == 1:
        spectra = ops.squeeze(spectra, 0)
    return spectra if return_complex else ops.view_as_real(spectra)


def _warn_of_no_window(name: str) -> None:
    warn(
        f"{name}: a window was not provided. A rectangular window will be applied, which is known to cause spectral "
        "leakage. Other windows such as distrt.hann_window are recommended."
    )


def _check_stft(input: Any, n_fft: int, hop: int, length: int, window: Any) -> None:
    if input._array.dtype not in dt.FLOATING_NUMPY:
        raise DtypeError("stft: expected a tensor of floating point or complex values")
    if input.ndim > 2:
        raise ShapeError(f"stft: expected a 1D or 2D tensor, got {input.ndim}D")
    if hop <= 0:
        raise ShapeError(f"stft: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise ShapeError(f"stft: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and tuple(window.shape) != (length,):
        raise ShapeError(
            f"stft: expected a 1D window tensor of size equal to win_length={length}, but got window with size "
            f"{list(window.shape)}"
        )


def _continued(signal: Any, pad: int, mode: str) -> Any:
    """The signals with ``pad`` more samples on both sides."""
    size = signal.shape[-1] if signal.ndim == 2 else 1
    if mode not in ("reflect", "replicate", "circular", "constant"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if signal.ndim < 2 or (mode == "reflect" and pad >= size):
        raise ShapeError(
            "Padding size should be less than the corresponding input dimension, but got: padding "
            f"({pad}, {pad}) for a signal of {size} samples"
        )
    if mode == "constant":
        return ops.index_scatter(
            signal, (signal.shape[0], size + 2 * pad), (slice(None), slice(pad, pad + size))
        )
    wanted = np.arange(-pad, size + pad, like=beside(signal))
    if mode == "reflect":
        wanted = np.abs(wanted)
        wanted = np.where(wanted >= size, 2 * (size - 1) - wanted, wanted)
    elif mode == "replicate":
        wanted = wanted.clip(0, size - 1)
    return ops.index(signal, (slice(None), wrap(wanted % size)))


def _frames(signal: Any, n_fft: int, hop: int) -> Any:
    """(batch, time) -> (batch, windows, n_fft)."""
    size = signal.shape[-1]
    if not 0 < n_fft <= size:
        raise ShapeError(f"stft: expected 0 < n_fft <= {size}, but got n_fft={n_fft}")
    return ops.index(
        signal, (slice(None), wrap(_places((size - n_fft) // hop + 1, n_fft, hop, beside(signal))))
    )


def _places(count: int, n_fft: int, hop: int, like: Array) -> Array:
    """For each window, where in the signal its samples are. Shape: (windows, n_fft)."""
    return np.arange(count, like=like)[:, None] * hop + np.arange(n_fft, like=like)


def _filled(window: Any, n_fft: int) -> Any:
    """The window with zeros on both sides up to ``n_fft`` samples."""
    length = window.shape[0]
    if length == n_fft:
        return window
    left = (n_fft - length) // 2
    return ops.index_scatter(window, (n_fft,), (slice(left, left + length),))


def istft(
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Any:
    """The signals that :func:`stft` took apart: the least-squares estimate from overlapping windows.

    Shape: (…, frequencies, windows) -> (…, time).
    Source: Griffin and Lim, Signal estimation from modified short-time Fourier transform (1984).

    Raises:
        RuntimeError: for sizes that do not fit, or windows that leave gaps.
    """
    require_array("istft", "input", input)
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if window is None:
        _warn_of_no_window("istft")
    half = input.shape[-2] != n_fft if onesided is None and input.ndim > 1 else bool(onesided)
    _check_istft(input, n_fft, hop, size, window, half)
    if return_complex and half:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    spectra = ops.transpose(ops.unsqueeze(input, 0) if input.ndim == 2 else input, 1, 2)
    frames = _samples(spectra, n_fft, "ortho" if normalized else None, half, return_complex)
    if window is None:
        window = wrap(filled(size, 1, input._array.real.dtype, input._array))
    window = _filled(window, n_fft)
    signal = _overlapped(frames, ops.mul(window, window), ops.mul(frames, window), hop)
    signal = _cut(*signal, n_fft, center, length)
    return ops.squeeze(signal, 0) if input.ndim == 2 else signal


def _check_istft(input: Any, n_fft: int, hop: int, size: int, window: Any, half: bool) -> None:
    if not input.is_complex():
        raise DtypeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    if input.ndim not in (2, 3) or not input.numel():
        raise ShapeError(
            f"istft: expected a tensor with 2 or 3 dims and elements, but got one of {list(input.shape)}"
        )
    expected = n_fft // 2 + 1 if half else n_fft
    if input.shape[-2] != expected:
        what = "n_fft / 2 + 1 when onesided=True" if half else "n_fft when onesided=False"
        raise ShapeError(
            "istft: expected the frequency dimension (3rd to the last) of the input tensor to match "
            f"{what}, but got {input.shape[-2]}"
        )
    if not 0 < hop <= size:
        raise ShapeError(f"istft: expected 0 < hop_length <= win_length, but got {hop} and {size}")
    if not 0 < size <= n_fft:
        raise ShapeError(f"istft: expected 0 < win_length <= n_fft, but got {size}")
    if window is not None and tuple(window.shape) != (size,):
        raise ShapeError(
            f"istft: Invalid window shape. window has to be 1D and length of `win_length`={size}, but has "
            f"{list(window.shape)}"
        )


def _samples(spectra: Any, n_fft: int, norm: str | None, half: bool, as_complex: bool) -> Any:
    """(batch, windows, frequencies) -> (batch, windows, n_fft)."""
    if as_complex:
        return fft_ifft(spectra, norm=norm)
    kept = spectra if half else ops.index(spectra, (..., slice(n_fft // 2 + 1)))
    return fft_irfft(kept, n_fft, norm=norm)


def _overlapped(frames: Any, weight: Any, windowed: Any, hop: int) -> tuple[Any, Any]:
    """The sum of the windows where they lie, and the sum of their weights there."""
    batch, count, n_fft = frames.shape
    places, total = (
        wrap(_places(count, n_fft, hop, beside(windowed))),
        n_fft + hop * (count - 1),
    )
    signal = ops.index_scatter(windowed, (batch, total), (slice(None), places._array))
    weights = ops.index_scatter(
        ops.expand(ops.unsqueeze(weight, 0), (count, n_fft)), (total,), (places._array,)
    )
    return signal, weights


def _cut(signal: Any, weights: Any, n_fft: int, center: bool, length: int | None) -> Any:
    total = signal.shape[-1]
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else total - start
    kept = slice(start, min(end, total))
    signal, weights = ops.index(signal, (slice(None), kept)), ops.index(weights, (kept,))
    smallest = float(known_or(np.abs(weights._array).min(), 1)) if weights._array.size else np.inf
    if not smallest > 1e-11:
        raise ShapeError(
            f"istft: window overlap add min: {smallest}: the windows leave gaps, in which the signal is unknown"
        )
    signal = ops.true_divide(signal, weights)
    if length is not None and end > total:
        warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings."
        )
        filled = (slice(None), slice(0, signal.shape[-1]))
        signal = ops.index_scatter(signal, (signal.shape[0], length), filled)
    return signal
