"""Learning-rate schedules: what changes an optimizer's ``lr`` from step to step.

``base.py`` has what all share; ``decay.py`` the schedules with a formula for each step; ``cycles.py`` those that move
momentum along; ``plateau.py`` the one that watches a metric; ``composed.py`` those made of others.
"""

from distrt.optim.lr_scheduler.base import LRScheduler, _LRScheduler
from distrt.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from distrt.optim.lr_scheduler.cycles import CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR
from distrt.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from distrt.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "_LRScheduler",
]
