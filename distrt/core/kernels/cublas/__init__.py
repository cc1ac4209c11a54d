"""NVIDIA's cuBLAS, called through its C interface: products of matrices on GPUs. It comes with CuPy's CUDA parts."""
