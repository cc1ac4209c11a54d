"""What distrt computes with: ``distrt.__config__.show()``."""

from __future__ import annotations

import platform

import ml_dtypes
import numpy as np

from distrt import __version__
from distrt.core.process.settings import get_num_interop_threads, get_num_threads

__all__ = ["parallel_info", "show"]


def show() -> str:
    """The libraries underneath and their versions, one a line."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return (
        f"distrt {__version__} runs with:\n"
        f"  - Python {platform.python_version()} on {platform.machine()}\n"
        f"  - NumPy {np.__version__}, ml_dtypes {ml_dtypes.__version__}\n"
        f"  - BLAS: {blas['name']} {blas['version']}\n"
        "  - CUDA: none\n"
    )


def parallel_info() -> str:
    """The numbers of threads."""
    return (
        "Parallel:\n"
        f"\tget_num_threads() : {get_num_threads()}\n"
        f"\tget_num_interop_threads() : {get_num_interop_threads()}\n"
    )
