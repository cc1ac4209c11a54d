"""The names that scripts import from ``torch.onnx.utils``."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError
from distrt.onnx.exporting import export, in_mode, is_in_onnx_export
from distrt.onnx.options import TrainingMode

__all__ = [
    "export",
    "is_in_onnx_export",
    "register_custom_op_symbolic",
    "select_model_mode_for_export",
    "unregister_custom_op_symbolic",
]


def select_model_mode_for_export(model: Any, mode: Any) -> AbstractContextManager[None]:
    """A block in which a model is in the mode that it would be exported in; afterwards it is as it was."""
    return in_mode(model, TrainingMode(int(mode)))


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> NoReturn:
    """Not there: such a function draws nodes of TorchScript's graph, which distrt does not have.

    Raises:
        UnsupportedError: (a NotImplementedError) always.
    """
    raise UnsupportedError(
        f"register_custom_op_symbolic({symbolic_name!r}): distrt's exporter has one rule for each of its operations, "
        "and takes none from outside: compose the operation of ones that are exported (docs/onnx.md)"
    )


def unregister_custom_op_symbolic(symbolic_name: str, opset_version: int) -> None:
    """Nothing: there is none that could be registered."""
