"""Switches of the libraries underneath, as PyTorch scripts set them.

They are remembered and given back: there is no cuDNN, and the CPU's kernels always compute in the dtype they are given.
"""

from __future__ import annotations

from distrt.backends import cpu, cuda, cudnn, mha, mkl, mkldnn, mps, openmp, opt_einsum

__all__ = ["cpu", "cuda", "cudnn", "mha", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]

fp32_precision = "none"
