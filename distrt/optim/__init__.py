"""Optimizers, under PyTorch's names."""

import importlib
from typing import Any

from distrt.optim import lr_scheduler
from distrt.optim._adafactor import Adafactor
from distrt.optim._muon import Muon
from distrt.optim._stateless import swap_in_optimizer_params_and_state
from distrt.optim.adadelta import Adadelta
from distrt.optim.adagrad import Adagrad
from distrt.optim.adam import Adam
from distrt.optim.adamax import Adamax
from distrt.optim.adamw import AdamW
from distrt.optim.asgd import ASGD
from distrt.optim.lbfgs import LBFGS
from distrt.optim.nadam import NAdam
from distrt.optim.optimizer import Optimizer
from distrt.optim.radam import RAdam
from distrt.optim.rmsprop import RMSprop
from distrt.optim.rprop import Rprop
from distrt.optim.sgd import SGD
from distrt.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "lr_scheduler",
    "swa_utils",
    "swap_in_optimizer_params_and_state",
]


def __getattr__(name: str) -> Any:
    if name == "swa_utils":  # a facade of a room to the right, loaded when asked for
        return importlib.import_module("distrt.optim.swa_utils")
    raise AttributeError(f"module 'distrt.optim' has no attribute {name!r}")
