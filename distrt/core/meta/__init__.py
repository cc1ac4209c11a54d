"""The ``meta`` device: tensors with sizes, dtype, strides and a graph, and without data.

The operations are the same definitions: a `MetaArray` is an array library of its own, which answers NumPy's functions
(NEP 13, NEP 18, NEP 35) by what their results look like. ``ufuncs`` has those that go element by element, ``functions``
finds the rules of all others, ``keys`` says what an index selects, ``twins`` where dims lie in memory. This room loads
when a program first asks for the device.
"""
