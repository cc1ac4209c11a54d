"""GPUs: tensors whose array is CuPy's.

The operations are the same definitions: NumPy's functions ask an array whose they are (NEP 13, NEP 18), and what makes
a new array says beside which one (``like=``, NEP 35).  This room finds CuPy, which loads only when a GPU is asked for,
moves arrays between devices, and sees to it that an operation runs where its arrays are.
"""
