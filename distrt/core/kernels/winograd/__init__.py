"""Convolutions of 3×3 kernels with less than half the multiplications, at stride 2 with two thirds of them.

A 2×2 piece of the output is made of a 4×4 piece of the input. Transformed, the convolution is a product element by
element, so that over all channels there are 16 matrix products in the place of 36. Source: Lavin and Gray 2016, F(2×2,
3×3). At stride 2 it is a 5×5 piece, and 25 products. `tiles` has the methods; the files of `code` write the kernels in
LLVM's language, `convolution` runs them on arrays.
"""
