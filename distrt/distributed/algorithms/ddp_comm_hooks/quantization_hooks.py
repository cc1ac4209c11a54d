"""Facade: the 8-bit hooks, at the path that PyTorch users type."""

from distrt.parallel.hooks.quantization import quantization_perchannel_hook, quantization_pertensor_hook

__all__ = ["quantization_perchannel_hook", "quantization_pertensor_hook"]
