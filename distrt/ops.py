"""``torch.ops``: operations by internal names, ``torch.ops.aten.add.Tensor(x, y)``, and those that users define."""

from __future__ import annotations

from typing import Any

from distrt.core.errors import UnsupportedError
from distrt.core.named_ops import namespace
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods

__all__: list[str] = []


def load_library(path: str) -> None:
    """Not here: PyTorch's extensions are built against its own tensors.

    Raises:
        UnsupportedError: always.
    """
    raise UnsupportedError(
        f"torch.ops.load_library({path!r}): define operations in Python: torch.library.custom_op"
    )


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return namespace(name)
