"""Convolutions of 3×3 kernels at stride 1 with less than half the multiplications.

A 2×2 piece of the output is made of a 4×4 piece of the input. Transformed, the convolution is a product element by
element, so that over all channels there are 16 matrix products in the place of 36. Source: Lavin and Gray 2016, F(2×2,
3×3). `code` writes the kernels in LLVM's language, `convolution` runs them on arrays.
"""
