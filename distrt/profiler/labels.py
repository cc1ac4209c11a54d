"""Which calls a profile shows, and under which name: a frame's code says it.

Operations are called as in PyTorch (``aten::mm``), and so are nodes of a backward pass, optimizers' steps and loaders.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from distrt.comm.process_group import ProcessGroup
from distrt.comm.progress import RunningWork
from distrt.core.autograd.accumulation import accumulate
from distrt.core.kernels.onednn.primitive import Primitive
from distrt.files import load, save
from distrt.optim.optimizer import Optimizer
from distrt.parallel.ddp import DistributedDataParallel
from distrt.tracing import targets

__all__ = ["label_of"]

Label = Callable[[types.FrameType], str | None]

_COLLECTIVES = (
    "all_reduce reduce broadcast all_gather gather scatter reduce_scatter all_to_all barrier send recv"
)


def label_of(frame: types.FrameType) -> str | None:
    """The name under which a frame's call is shown; None where it is not."""
    code = frame.f_code
    try:
        label = _labels[code]
    except KeyError:
        label = _labels[code] = _label_for(code)
    return label if label is None or isinstance(label, str) else label(frame)


def _label_for(code: types.CodeType) -> str | Label | None:
    if code.co_filename.startswith("<op "):
        if code.co_name.startswith("<"):  # a comprehension within
            return None
        return _node_of if code.co_name == "backward" else _operation_of
    if code is _STEP:
        return _step
    if code.co_name == "__next__" and "/distrt/data/" in code.co_filename:
        return _next
    return _operation_of if targets.may_be_named(code) else None


def _operation_of(frame: types.FrameType) -> str | None:
    name = (targets.name_of(frame) or "").rpartition(".")[2]
    return f"aten::{name}" if name and not name.startswith("is_") else None


def _node_of(frame: types.FrameType) -> str | None:
    name: str = frame.f_globals["definition"].node_name
    return name


def _step(frame: types.FrameType) -> str:
    """The code is that of a wrapper around each class's own step."""
    return f"Optimizer.step#{type(frame.f_locals['args'][0]).__name__}.step"


def _zero_grad(frame: types.FrameType) -> str:
    return f"Optimizer.zero_grad#{type(frame.f_locals['self']).__name__}.zero_grad"


def _next(frame: types.FrameType) -> str:
    return f"enumerate(DataLoader)#{type(frame.f_locals['self']).__name__}.__next__"


def _kernel(frame: types.FrameType) -> str:
    return f"onednn::{frame.f_locals['self'].implementation}"


def _code(function: Any) -> types.CodeType:
    code: types.CodeType = function.__code__
    return code


_STEP = _code(Optimizer.profile_hook_step(lambda self: None))

#: By code: a name, or what finds it from the frame; None for what is not shown. It grows with the code that runs.
_labels: dict[types.CodeType, str | Label | None] = {
    _code(Optimizer.zero_grad): _zero_grad,
    _code(Primitive.__call__): _kernel,
    _code(accumulate): "torch::autograd::AccumulateGrad",
    _code(DistributedDataParallel.forward): "DistributedDataParallel.forward",
    _code(RunningWork.wait): "c10d::wait",
    _code(save): "distrt::save",
    _code(load): "distrt::load",
    **{_code(getattr(ProcessGroup, name)): f"c10d::{name}" for name in _COLLECTIVES.split()},
}
