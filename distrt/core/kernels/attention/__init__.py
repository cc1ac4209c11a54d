"""Scaled dot-product attention, compiled: products, masks, softmax and the gradients of one matrix after another.

`call` says what these kernels do and prepares the arrays, `shared_code` has what both directions consist of.
"""
