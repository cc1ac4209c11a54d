"""CUDA graphs, by PyTorch's names: distrt records none, and each name says so where it is called."""

from __future__ import annotations

from typing import Any, NoReturn

from distrt.core.errors import UnsupportedError

__all__ = ["CUDAGraph", "graph", "graph_pool_handle", "make_graphed_callables"]

_ADVICE = "distrt records no CUDA graphs: run the step as it is"


class CUDAGraph:
    """Not in distrt."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"{type(self).__name__}: {_ADVICE}")


class graph(CUDAGraph):  # noqa: N801 - PyTorch's own spelling
    """Not in distrt."""


def graph_pool_handle() -> NoReturn:
    """Not in distrt."""
    raise UnsupportedError(f"graph_pool_handle: {_ADVICE}")


def make_graphed_callables(callables: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Not in distrt."""
    raise UnsupportedError(f"make_graphed_callables: {_ADVICE}")
