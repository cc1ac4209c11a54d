"""Kernels: compiled code for what NumPy does in many passes.

Each has an implementation in NumPy beside it that gives the same bits, that serves where the extra is not installed,
and that the tests compare it with.
"""
