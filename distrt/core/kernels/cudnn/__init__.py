"""NVIDIA's cuDNN, called through its C interface: convolutions on GPUs (extra ``cudnn13``).

The interface of version 7, which version 9 still has; docs/dependencies.md says what it was compared with.
"""
