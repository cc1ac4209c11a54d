"""Facade: Fourier transforms, at the path that PyTorch users type. The operations: ``core/ops/signal/fourier.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.definitions.out import write_out
from distrt.core.definitions.wording import hand_out
from distrt.core.device import require_available
from distrt.core.dtypes import dtype as dt
from distrt.core.errors import DtypeError
from distrt.core.gpu.places import moved
from distrt.core.ops.signal.fourier import fft_fft as fft
from distrt.core.ops.signal.fourier import fft_fft2 as fft2
from distrt.core.ops.signal.fourier import fft_fftn as fftn
from distrt.core.ops.signal.fourier import fft_fftshift as fftshift
from distrt.core.ops.signal.fourier import fft_hfft as hfft
from distrt.core.ops.signal.fourier import fft_hfft2 as hfft2
from distrt.core.ops.signal.fourier import fft_hfftn as hfftn
from distrt.core.ops.signal.fourier import fft_ifft as ifft
from distrt.core.ops.signal.fourier import fft_ifft2 as ifft2
from distrt.core.ops.signal.fourier import fft_ifftn as ifftn
from distrt.core.ops.signal.fourier import fft_ifftshift as ifftshift
from distrt.core.ops.signal.fourier import fft_ihfft as ihfft
from distrt.core.ops.signal.fourier import fft_ihfft2 as ihfft2
from distrt.core.ops.signal.fourier import fft_ihfftn as ihfftn
from distrt.core.ops.signal.fourier import fft_irfft as irfft
from distrt.core.ops.signal.fourier import fft_irfft2 as irfft2
from distrt.core.ops.signal.fourier import fft_irfftn as irfftn
from distrt.core.ops.signal.fourier import fft_rfft as rfft
from distrt.core.ops.signal.fourier import fft_rfft2 as rfft2
from distrt.core.ops.signal.fourier import fft_rfftn as rfftn
from distrt.core.tensor import Tensor, wrap
from distrt.core.tensors import methods as _methods  # noqa: F401

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "hfft2",
    "hfftn",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "ihfft2",
    "ihfftn",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]


def fftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of ``fft`` over ``n`` samples that are ``d`` apart: first those from 0 up, then the negative."""
    return _made("fftfreq", np.fft.fftfreq(_counted("fftfreq", n), d), out, dtype, device, requires_grad)


def rfftfreq(
    n: int,
    d: float = 1.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The frequencies of ``rfft`` over ``n`` samples that are ``d`` apart."""
    return _made("rfftfreq", np.fft.rfftfreq(_counted("rfftfreq", n), d), out, dtype, device, requires_grad)


def _counted(name: str, n: Any) -> int:
    if not isinstance(n, int):
        raise TypeError(f"fft_{name}(): argument 'n' (position 1) must be int, not {type(n).__name__}")
    return n


def _made(name: str, values: Any, out: Any, dtype: Any, device: Any, requires_grad: bool) -> Tensor:
    place = require_available(device)
    kind = dt.default.numpy if dtype is None else dt.to_numpy(dtype)
    if kind not in dt.FLOATING_NUMPY:
        raise DtypeError(f"{name} requires a floating point or complex dtype")
    made = wrap(moved(values.astype(kind), place))
    if out is not None:
        return write_out(name, made, out)  # type: ignore[no-any-return]
    return made.requires_grad_() if requires_grad else made


hand_out(globals())
