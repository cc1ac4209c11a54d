"""What each rank of a check does; ``tests/gpu/checks/nccl.py`` starts them."""
