"""Element types: PyTorch's names over NumPy's, their limits, and what operands of several promote to."""
