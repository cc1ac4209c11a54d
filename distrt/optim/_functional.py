"""The functional forms of optimizers, at the path where PyTorch gathers them."""

from __future__ import annotations

from distrt.optim.adadelta import adadelta as adadelta
from distrt.optim.adagrad import adagrad as adagrad
from distrt.optim.adam import adam as adam
from distrt.optim.adamax import adamax as adamax
from distrt.optim.adamw import adamw as adamw
from distrt.optim.asgd import asgd as asgd
from distrt.optim.nadam import nadam as nadam
from distrt.optim.radam import radam as radam
from distrt.optim.rmsprop import rmsprop as rmsprop
from distrt.optim.rprop import rprop as rprop
from distrt.optim.sgd import sgd as sgd
