"""Facade: states of sharded models, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.parallel.fully_sharded.global_optimizer_state import (
    get_optimizer_state_dict,
    get_state_dict,
    set_optimizer_state_dict,
    set_state_dict,
)
from distrt.parallel.fully_sharded.global_optimizer_state import (
    start as _init_optim_state,  # noqa: F401 - PyTorch's tutorial of FSDP2 imports it
)
from distrt.parallel.fully_sharded.global_state import (
    StateDictOptions,
    get_model_state_dict,
    set_model_state_dict,
)

__all__ = [
    "StateDictOptions",
    "get_model_state_dict",
    "get_optimizer_state_dict",
    "get_state_dict",
    "set_model_state_dict",
    "set_optimizer_state_dict",
    "set_state_dict",
]
