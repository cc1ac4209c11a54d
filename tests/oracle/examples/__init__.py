"""The examples in the docstrings of PyTorch and torchvision, run on both libraries."""
