"""A CUDA device that is a process's own memory and its CPU: on it the real CuPy runs where there is no GPU.

``ptx`` makes C of the PTX that NVIDIA's compiler (NVRTC) writes; ``device`` is the driver and the runtime;
``libraries`` are cuBLAS, cuSOLVER and cuFFT by loops and LAPACK, beside what the fake of CuPy has of cuBLAS and cuDNN;
``environment`` puts them and CuPy's wheel into a folder, and ``scripts/gpu-check --emulated`` runs the checks there.
"""
