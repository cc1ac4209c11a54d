"""Rows for Fourier transforms."""

from __future__ import annotations

from typing import Any

from tests.oracle.op_cases import COMPLEX, FLOATS, In, row

NUMBERS = (*FLOATS, *COMPLEX)
LINES = [In((5,)), In((2, 4)), In((3, 4), layout="transposed"), In((2, 3), layout="strided"), In((1,))]
PLANES = [In((3, 4)), In((2, 4, 3)), In((4, 3), layout="transposed")]
NORMS = ("backward", "ortho", "forward")

for name in ("fft", "ifft", "hfft"):
    row(
        f"fft_{name}",
        lambda t, a, f=name: getattr(t.fft, f)(a),
        LINES[:4],
        dtypes=(*NUMBERS, "int64", "bool"),
        covers="_fft_c2r" if name == "hfft" else "_fft_c2c",
    )
row(
    "fft_irfft",
    lambda t, a: (t.fft.irfft(a), t.fft.irfft(a, n=5), t.fft.irfft(a, 6)),
    LINES[:4],
    dtypes=NUMBERS,
    covers="_fft_c2r _fft_r2c",
)
for name in ("rfft", "ihfft"):
    row(
        f"fft_{name}",
        lambda t, a, f=name: getattr(t.fft, f)(a),
        LINES,
        dtypes=(*FLOATS, "int64"),
        covers="_fft_r2c _fft_c2c",
    )
for norm in NORMS:
    for n in (None, 3, 6):
        row(
            f"transforms of {n} points, {norm}",
            lambda t, a, n=n, m=norm: (
                t.fft.fft(a, n, 0, norm=m),
                t.fft.ifft(a, n=n, norm=m),
                t.fft.irfft(a, n, norm=m),
                t.fft.hfft(a, n, norm=m),
                *((t.fft.rfft(a, n, -1, m), t.fft.ihfft(a, n, -1, m)) if not a.is_complex() else ()),
            ),
            [In((3, 5)), In((4, 4))],
            dtypes=NUMBERS,
            covers="fft_fft fft_ifft fft_irfft fft_hfft fft_rfft fft_ihfft",
        )
for name in ("fft2", "ifft2", "irfft2", "hfft2", "fftn", "ifftn", "irfftn", "hfftn"):
    row(f"fft_{name}", lambda t, a, f=name: getattr(t.fft, f)(a), PLANES, dtypes=NUMBERS, covers="_fft_c2c")
    row(
        f"fft_{name}.s",
        lambda t, a, f=name: getattr(t.fft, f)(a, (5, 2), (0, 1), "ortho"),
        PLANES,
        dtypes=NUMBERS,
        covers=f"fft_{name}",
    )
for name in ("rfft2", "ihfft2", "rfftn", "ihfftn"):
    row(f"fft_{name}", lambda t, a, f=name: getattr(t.fft, f)(a), PLANES, covers="_fft_r2c")
    row(
        f"fft_{name}.s",
        lambda t, a, f=name: getattr(t.fft, f)(a, s=(5, 2), dim=(1, 0), norm="forward"),
        PLANES,
        covers=f"fft_{name}",
    )
row(
    "fft_fftn.few",
    lambda t, a: (
        t.fft.fftn(a, s=(2,)),
        t.fft.fftn(a, s=(2, -1), dim=(0, 1)),
        t.fft.fftn(a, dim=0),
        t.fft.fft2(a, dim=(1,)),
    ),
    PLANES,
    dtypes=NUMBERS,
    covers="fft_fftn",
)
row("fft_fftn of 0-d", lambda t, a: t.fft.fftn(a), [In(())], dtypes=NUMBERS)
for name in ("fftshift", "ifftshift"):
    row(
        f"fft_{name}",
        lambda t, a, f=name: (
            getattr(t.fft, f)(a),
            getattr(t.fft, f)(a, dim=-1),
            getattr(t.fft, f)(a, dim=(0,)),
        ),
        [In((5,)), In((4, 3)), In((0, 3))],
        dtypes=(*NUMBERS, "int64"),
    )

# -- of one window after the other

SIGNALS = [(In((20,)), In((8,), "positive")), (In((2, 21)), In((8,), "positive"))]
for mode in ("reflect", "replicate", "constant", "circular"):
    row(
        f"stft.{mode}",
        lambda t, a, w, m=mode: t.stft(a, 8, window=w, pad_mode=m, return_complex=True),
        SIGNALS,
        dtypes=NUMBERS,
    )
row(
    "stft.options",
    lambda t, a, w: (
        a.stft(8, 3, 6, w[:6], center=False, normalized=True, return_complex=True),
        t.stft(a, 9, 4, 8, w, onesided=False, return_complex=False),
    ),
    SIGNALS,
)
row(
    "istft",
    lambda t, a, w: (
        t.istft(t.stft(a, 8, 4, 6, w[:6], return_complex=True), 8, 4, 6, w[:6]),
        t.stft(a, 8, window=w, normalized=True, return_complex=True).istft(
            8, window=w, normalized=True, length=15
        ),
        t.istft(
            t.stft(a, 8, window=w, onesided=False, return_complex=True),
            8,
            window=w,
            onesided=False,
            return_complex=True,
        ),
    ),
    SIGNALS,
)


def _windows(t: Any, a: Any) -> Any:
    kinds = (t.hann_window, t.hamming_window, t.blackman_window, t.bartlett_window, t.kaiser_window)
    return [
        a[0] * kind(n, p, dtype=a.dtype) for kind in kinds for n in (0, 1, 2, 7, 8) for p in (True, False)
    ]


row("windows", _windows, [In((1,))], covers="mul")
