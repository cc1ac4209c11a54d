"""Names of PyTorch that distrt leaves out on purpose: each raises ``UnsupportedError`` and says what to use instead.

A script that only mentions such a name imports and starts; the error comes where it is called.
"""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError

_SPARSE = "distrt has dense tensors only: use a dense tensor, with 0 for what is not given"
_QUANTISED = (
    "distrt has no quantised tensors: use float16 or bfloat16, or keep integers and scale them yourself"
)
_NAMED = "distrt tensors have no named dims: keep the names in your code, and dims by number"
_GRAPH = "distrt does not trace programs into graphs: run the function itself"

#: Functions of ``distrt``.
FUNCTIONS: dict[str, str] = {
    "hspmm": _SPARSE,
    "smm": _SPARSE,
    "sparse_bsc_tensor": _SPARSE,
    "sparse_bsr_tensor": _SPARSE,
    "sparse_compressed_tensor": _SPARSE,
    "sparse_coo_tensor": _SPARSE,
    "sparse_csc_tensor": _SPARSE,
    "sparse_csr_tensor": _SPARSE,
    "spmm": f"{_SPARSE}; distrt.mm multiplies it",
    "sspaddmm": _SPARSE,
    "dequantize": _QUANTISED,
    "quantize_per_channel": _QUANTISED,
    "quantize_per_tensor": _QUANTISED,
    "quantize_per_tensor_dynamic": _QUANTISED,
    "cond": "distrt runs Python as it stands: use an if statement",
}

#: Methods of ``Tensor``.
METHODS: dict[str, str] = {
    "index": "distrt has no first-class dims: use tensor[key]",
    "ccol_indices": _SPARSE,
    "col_indices": _SPARSE,
    "crow_indices": _SPARSE,
    "dense_dim": _SPARSE,
    "row_indices": _SPARSE,
    "sparse_dim": _SPARSE,
    "sparse_mask": f"{_SPARSE}; multiply by the mask, or use masked_fill",
    "to_mkldnn": "distrt chooses the layout of its kernels itself: leave the call out",
    "to_sparse": _SPARSE,
    "to_sparse_bsc": _SPARSE,
    "to_sparse_bsr": _SPARSE,
    "to_sparse_coo": _SPARSE,
    "to_sparse_csc": _SPARSE,
    "to_sparse_csr": _SPARSE,
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
    "sparse": _SPARSE,
}

#: Methods that ask a sparse tensor something, and raise what PyTorch raises for a dense one.
_FOR_SPARSE_ONLY = ("coalesce", "indices", "is_coalesced", "values", "_indices", "_nnz", "_values")


def _refusing(name: str, reason: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"{name}: {reason}")

    refuse.__name__ = refuse.__qualname__ = name.rpartition(".")[2]
    refuse.__doc__ = f"Not in distrt. {reason[0].upper()}{reason[1:]}."
    return refuse


def _for_sparse_only(name: str) -> Any:
    def refuse(self: Any, *args: Any) -> NoReturn:
        raise RuntimeError(
            f"{name} expected sparse coordinate tensor layout but got Strided: this tensor is dense; leave the call out"
        )

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "For sparse tensors, which distrt does not have."
    return refuse


def to_dense(self: Any, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """This tensor itself: all tensors are dense."""
    return self if dtype is None else self.to(dtype)


def methods() -> dict[str, Any]:
    """The methods of ``Tensor`` that refuse, and ``to_dense``."""
    found = {name: _refusing(f"Tensor.{name}", reason) for name, reason in METHODS.items()}
    found.update({name: _for_sparse_only(name) for name in _FOR_SPARSE_ONLY})
    return {**found, "to_dense": to_dense}


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
