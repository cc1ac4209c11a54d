"""Facade: functional optimizers, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.optimizer_overlap import (
    as_functional_optim as as_functional_optim,
)
from distrt.parallel.optimizer_overlap import (
    functional_optim_map as functional_optim_map,
)
from distrt.parallel.optimizer_overlap import (
    register_functional_optim as register_functional_optim,
)
