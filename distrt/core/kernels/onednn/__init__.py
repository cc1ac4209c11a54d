"""oneDNN through its C API, on the memory of NumPy arrays.

`library` finds and loads it, `primitive` makes its operations callable, and one file for each family of operations says
which arrays it can do. Everything here has a NumPy implementation in `core/ops`, which serves where oneDNN is not
installed; `core/kernels/table.py` says which one is chosen.
"""
