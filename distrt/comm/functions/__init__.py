"""PyTorch's communication functions, on tensors. ``distrt.distributed`` is their public path."""
