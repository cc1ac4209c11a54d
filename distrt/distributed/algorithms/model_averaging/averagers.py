"""Facade: averaging every few steps, at the path that PyTorch users type."""

from distrt.parallel.averaging.periodic import ModelAverager, PeriodicModelAverager

__all__ = ["ModelAverager", "PeriodicModelAverager"]
