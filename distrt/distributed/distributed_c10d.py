"""Facade: the names of ``distrt.distributed`` once more, at the path where PyTorch defines them.

And those that PyTorch has here only: libraries use some of its private names.
"""

import importlib
from typing import Any

#: name -> (module, attribute).
_HERE = {
    "_abort_process_group": ("functions.registry", "abort_process_group"),
    "_device_capability": ("functions.registry", "device_capability"),
    "_get_default_group": ("world", "default_group"),
    "_get_default_store": ("functions.registry", "get_default_store"),
    "_get_default_timeout": ("functions.registry", "get_default_timeout"),
    "_get_global_rank": ("functions.registry", "global_rank"),
    "_get_group_size": ("functions.registry", "group_size"),
    "_get_object_coll_device": ("functions.registry", "get_object_coll_device"),
    "_get_pg_default_device": ("functions.registry", "get_pg_default_device"),
    "_get_process_group_store": ("functions.plugins", "get_group_store"),
    "_resolve_process_group": ("functions.registry", "resolve_process_group"),
    "_set_pg_timeout": ("functions.registry", "set_pg_timeout"),
    "_world": ("functions.registry", "registered_groups"),
    "default_pg_nccl_timeout": ("functions.backend", "default_pg_nccl_timeout"),
}

#: Parts of ``_world``, as it is when asked for.
_OF_WORLD = {"_pg_group_ranks": "pg_group_ranks", "_pg_map": "pg_map", "_pg_names": "pg_names"}


def __getattr__(name: str) -> Any:  # not a list of its own, which would have to be kept in step
    if name in _HERE:
        module, attribute = _HERE[name]
        return getattr(importlib.import_module(f"distrt.comm.{module}"), attribute)
    if name in _OF_WORLD:
        return getattr(__getattr__("_world"), _OF_WORLD[name])
    if name.startswith("__") and name != "__all__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(importlib.import_module("distrt.distributed"), name)
    except AttributeError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None


def __dir__() -> list[str]:
    return sorted({*globals(), *_HERE, *_OF_WORLD, *dir(importlib.import_module("distrt.distributed"))})
