"""Handles of libraries, which nobody here looks behind."""

from __future__ import annotations


def get_cublas_handle() -> int:
    """cuBLAS's."""
    return 1


def get_cusolver_handle() -> int:
    """cuSOLVER's."""
    return 2
