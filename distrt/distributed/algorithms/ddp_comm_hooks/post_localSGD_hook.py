"""Facade: post-local SGD, at the path that PyTorch users type."""

from distrt.parallel.hooks.post_local_sgd import PostLocalSGDState, post_localSGD_hook

__all__ = ["PostLocalSGDState", "post_localSGD_hook"]
