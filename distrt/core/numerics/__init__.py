"""Special functions on NumPy arrays, to about 1e-14 in float64.

What tensors make of them is in ``ops/pointwise/special.py``.
"""
