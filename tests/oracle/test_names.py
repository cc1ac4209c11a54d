"""Every public name of PyTorch's modules, functions, optimizers and schedulers is here, or is left out for a reason."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest

#: What has no place here, by module.
LEFT_OUT: dict[str, dict[str, str]] = {
    "nn.functional": dict.fromkeys(
        ("ScalingType", "SwizzleType", "grouped_mm", "scaled_grouped_mm", "scaled_mm"),
        "products of 8-bit floats on GPUs",
    )
    | {"assert_int_or_pair": "a helper"},
}

MODULES = (
    "nn",
    "nn.functional",
    "nn.init",
    "nn.parallel",
    "nn.utils",
    "nn.utils.rnn",
    "nn.utils.parametrize",
    "nn.utils.parametrizations",
    "optim",
    "optim.lr_scheduler",
    "optim.swa_utils",
)


def _public(module: Any, root: str) -> set[str]:
    """The names that the module defines or gives in ``__all__``, other modules and typing helpers left out."""
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    found = {name: getattr(module, name) for name in names}
    return {
        name
        for name, value in found.items()
        if not inspect.ismodule(value)
        and (inspect.isclass(value) or inspect.isroutine(value))
        and (getattr(value, "__module__", None) or root).startswith(root)
        and not name.endswith(("_C", "VF"))
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_here(name: str, torch: Any) -> None:
    theirs = importlib.import_module(f"torch.{name}")
    ours = importlib.import_module(f"distrt.{name}")
    wanted = _public(theirs, f"torch.{name.partition('.')[0]}") - set(LEFT_OUT.get(name, ()))
    assert not sorted(each for each in wanted if not hasattr(ours, each))
    assert not sorted(each for each in LEFT_OUT.get(name, ()) if hasattr(ours, each)), (
        "is here, and is listed as left out"
    )
