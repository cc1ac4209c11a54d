"""Optimizers, under PyTorch's names."""

from distrt.optim import lr_scheduler
from distrt.optim.adam import Adam
from distrt.optim.optimizer import Optimizer
from distrt.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "lr_scheduler"]
