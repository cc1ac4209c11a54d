"""Runs an exported model in onnxruntime, beside the model itself. Needs the ``onnxruntime`` package when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from distrt.core.modes import no_grad
from distrt.core.process.users_code import warn
from distrt.core.tensor import Tensor, wrap
from distrt.onnx.errors import OnnxExporterError, OnnxExporterWarning
from distrt.onnx.model import ONNXProgram

__all__ = ["VerificationInfo", "verify_onnx_program"]

#: What PyTorch's exporter takes for a large difference.
_ABSOLUTE, _RELATIVE = 5e-3, 1e-1


@dataclass
class VerificationInfo:
    """How far one output of an exported model is from the model's own.

    Attributes:
        name: of the output.
        max_abs_diff: the largest difference of two elements.
        max_rel_diff: the largest difference relative to the model's own element.
        expected_dtype: the element type that the model has.
        actual_dtype: the element type that the runtime gives.
    """

    name: str
    max_abs_diff: float
    max_rel_diff: float
    expected_dtype: Any
    actual_dtype: Any


def run(program: ONNXProgram, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """The outputs that onnxruntime gives for these arguments, whose tensors are the inputs in order.

    Raises:
        ModuleNotFoundError: without the ``onnxruntime`` package.
        OnnxExporterError: for a model or inputs that the runtime refuses.
    """
    runtime = _runtime()
    wanted = [each.name for each in program.model_proto.graph.input]
    given = [each.detach().numpy() for each in _tensors((args, kwargs))]
    if len(given) > len(wanted):
        raise OnnxExporterError(f"{len(given)} tensors are given for the {len(wanted)} inputs {wanted}")
    try:
        session = runtime.InferenceSession(
            program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        found = session.run(None, dict(zip(wanted, given, strict=False)))
    except Exception as fault:  # the runtime has a dozen classes without a common base
        raise OnnxExporterError(f"Failed to execute the model with ONNX Runtime: {fault}") from fault
    return [wrap(np.asarray(each)) for each in found]


def verify_onnx_program(
    onnx_program: ONNXProgram, model: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
) -> list[VerificationInfo]:
    """How far each output of an exported model is from what the model itself gives for these arguments."""
    with no_grad():
        expected = list(_tensors(model(*args, **(kwargs or {}))))
    actual = run(onnx_program, args, kwargs or {})
    names = [each.name for each in onnx_program.model_proto.graph.output]
    return [_compared(*each) for each in zip(names, expected, actual, strict=True)]


def require_same_outputs(
    program: ONNXProgram, model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Warns of outputs that differ from the model's."""
    for found in verify_onnx_program(program, model, args, kwargs):
        said = []
        if found.expected_dtype != found.actual_dtype:
            said.append(f"dtype {found.actual_dtype} in the place of {found.expected_dtype}")
        if not found.max_abs_diff < _ABSOLUTE:
            said.append(f"a large absolute difference of {found.max_abs_diff:f}")
        if not found.max_rel_diff < _RELATIVE:
            said.append(f"a large relative difference of {found.max_rel_diff:f}")
        if said:
            warn(f"Output '{found.name}' has {', '.join(said)}", OnnxExporterWarning)


def _compared(name: str, expected: Tensor, actual: Tensor) -> VerificationInfo:
    mine, theirs = (each.detach()._array for each in (expected, actual))
    if mine.shape != theirs.shape:
        raise OnnxExporterError(
            f"output {name!r} has sizes {list(theirs.shape)}; the model's are {list(mine.shape)}"
        )
    one, other = mine.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore"):
        apart = np.where((one == other) | (np.isnan(one) & np.isnan(other)), 0.0, abs(one - other))
    relative = apart / np.maximum(abs(one), 1e-7)
    return VerificationInfo(name, _largest(apart), _largest(relative), expected.dtype, actual.dtype)


def _largest(values: Any) -> float:
    return float(values.max()) if values.size else 0.0


def _tensors(nest: Any) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, dict):
        yield from _tensors(list(nest.values()))
    elif isinstance(nest, tuple | list):
        for each in nest:
            yield from _tensors(each)


def _runtime() -> Any:
    try:
        return importlib.import_module("onnxruntime")
    except ModuleNotFoundError as missing:
        if missing.name != "onnxruntime":
            raise
        raise ModuleNotFoundError(
            "running an exported model needs the onnxruntime package, which is not installed: pip install onnxruntime",
            name="onnxruntime",
        ) from None
