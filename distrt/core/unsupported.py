"""Names of PyTorch that distrt leaves out on purpose: each raises ``UnsupportedError`` and says what to use instead.

A script that only mentions such a name imports and starts; the error comes where it is called.
"""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError

_QUANTISED = (
    "distrt has no quantised tensors: use float16 or bfloat16, or keep integers and scale them yourself"
)
_NAMED = "distrt tensors have no named dims: keep the names in your code, and dims by number"
_GRAPH = "distrt does not trace programs into graphs: run the function itself"

#: Functions of ``distrt``.
FUNCTIONS: dict[str, str] = {
    "dequantize": _QUANTISED,
    "quantize_per_channel": _QUANTISED,
    "quantize_per_tensor": _QUANTISED,
    "quantize_per_tensor_dynamic": _QUANTISED,
    "cond": "distrt runs Python as it stands: use an if statement",
}

#: Methods of ``Tensor``.
METHODS: dict[str, str] = {
    "index": "distrt has no first-class dims: use tensor[key]",
    "to_mkldnn": "distrt chooses the layout of its kernels itself: leave the call out",
    "dequantize": _QUANTISED,
    "int_repr": _QUANTISED,
    "q_per_channel_axis": _QUANTISED,
    "q_per_channel_scales": _QUANTISED,
    "q_per_channel_zero_points": _QUANTISED,
    "q_scale": _QUANTISED,
    "q_zero_point": _QUANTISED,
    "qscheme": _QUANTISED,
    "align_as": _NAMED,
    "align_to": _NAMED,
    "refine_names": _NAMED,
    "rename": _NAMED,
    "rename_": _NAMED,
}

#: Submodules of ``distrt``: the error comes at the first name that is taken from one.
MODULES: dict[str, str] = {
    "ao": _QUANTISED,
    "export": _GRAPH,
    "masked": "distrt has no masked tensors: use where, masked_fill or nansum",
    "nested": "distrt has no nested tensors: pad the sequences, or keep a list",
    "package": "distrt packages no programs: use pip, and distrt.save for tensors",
    "quantization": _QUANTISED,
}


def _refusing(name: str, reason: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"{name}: {reason}")

    refuse.__name__ = refuse.__qualname__ = name.rpartition(".")[2]
    refuse.__doc__ = f"Not in distrt. {reason[0].upper()}{reason[1:]}."
    return refuse


def methods() -> dict[str, Any]:
    """The methods of ``Tensor`` that refuse."""
    return {name: _refusing(f"Tensor.{name}", reason) for name, reason in METHODS.items()}


class UnsupportedModule:
    """Stands for a submodule that distrt leaves out."""

    def __init__(self, name: str, reason: str) -> None:
        self.__name__ = f"distrt.{name}"
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedError(f"{self.__name__}.{name}: {self._reason}")


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return _refusing(f"distrt.{name}", FUNCTIONS[name])
    if name in MODULES:
        return UnsupportedModule(name, MODULES[name])
    raise AttributeError(name)
