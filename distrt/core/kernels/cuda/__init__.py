"""Kernels in CUDA, for arrays of CuPy's: what would otherwise be a launch for each of NumPy's functions is one.

The sources are in ``code/``; CuPy compiles them for the GPU that it finds, when they are first called, and keeps what
it made in a folder of its own. They include no header, so that they need no CUDA toolkit. Operations call them through
`core/kernels/on_gpu.py` where their arrays are on a GPU; `core/kernels/table.py` says which one is chosen.
"""
