"""Sparse tensors: arrays of the elements that are not 0 (`array`, `compressed`), and the functions that take them."""
