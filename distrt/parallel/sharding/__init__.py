"""Optimizer state that exists once, each rank holding a part of it.

``ZeroRedundancyOptimizer`` is PyTorch's, at ``distrt.distributed.optim``. docs/sharding.md has the design.
"""
