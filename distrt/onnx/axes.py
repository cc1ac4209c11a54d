"""Dynamic axes: which sizes of inputs and outputs may differ, what they are called, and other sizes to try."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from distrt.core.arrays import Array
from distrt.core.tensor import Tensor, wrap
from distrt.onnx.errors import OnnxExporterError
from distrt.onnx.sizes import Sizes
from distrt.tracing import Graph, Value, map_nest

__all__ = ["Axes", "asked"]


class Axes:
    """The dynamic axes of a model.

    Attributes:
        of_inputs: by the input's name, the name of each dim.
        of_outputs: the same for outputs.
    """

    def __init__(self, names: dict[Value, str]) -> None:
        self._names = names
        self.of_inputs: dict[str, dict[int, str]] = {}
        self.of_outputs: dict[str, dict[int, str]] = {}

    def described(self) -> dict[str, dict[int, str]]:
        """Those of the inputs, for a message."""
        return self.of_inputs

    def other_arguments(
        self, graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments with other sizes in the dynamic axes: first another for each name, then alike ones."""
        names = sorted({name for dims in self.of_inputs.values() for name in dims.values()})
        pairs: list[tuple[Value, Any]] = []
        _pair(graph.arguments, (args, kwargs), pairs)
        for factor, more, each_more in ((1, 1, 1), (1, 1, 0), (2, 0, 0), (4, 0, 0)):

            def grown(size: int, name: str, by: tuple[int, int, int] = (factor, more, each_more)) -> int:
                return by[0] * size + by[1] + by[2] * names.index(name)

            yield _replaced(
                (args, kwargs), {id(leaf): self._resized(value, leaf, grown) for value, leaf in pairs}
            )

    def other_values(
        self, graph: Graph, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
        """The arguments with other values of the same sizes, for operations that count values."""
        pairs: list[tuple[Value, Any]] = []
        _pair(graph.arguments, (args, kwargs), pairs)
        for change in _CHANGES:
            yield _replaced(
                (args, kwargs), {id(leaf): wrap(change(leaf.detach()._array)) for _, leaf in pairs}
            )

    def _resized(self, value: Value, tensor: Tensor, grown: Callable[[int, str], int]) -> Tensor:
        """A tensor with other sizes in its dynamic axes, along which its elements come again."""
        array = tensor.detach()._array
        for dim, name in self.of_inputs.get(self._names[value], {}).items():
            size = array.shape[dim]
            if not size:
                raise OnnxExporterError(
                    f"axis {dim} of {self._names[value]} is dynamic, and empty in the arguments"
                )
            array = np.take(array, np.arange(grown(size, name)) % size, axis=dim)
        return wrap(array)

    def output_sizes(self, name: str, value: Value, sizes: Sizes) -> list[int | str | None]:
        """The sizes of an output: numbers, and names where they may differ."""
        named = self.of_outputs.get(name, {})
        known: dict[tuple[int, int], str] = {}
        for given, called in self._names.items():
            for dim, symbol in self.of_inputs.get(called, {}).items():
                known[given.shape[dim], sizes.in_other_run(given)[dim]] = symbol
        found: list[int | str | None] = []
        for dim, (mine, other) in enumerate(zip(value.shape, sizes.in_other_run(value), strict=True)):
            found.append(named.get(dim, mine if mine == other else known.get((mine, other))))
        return found


def _first_everywhere(array: Array) -> Array:
    return np.full_like(array, array.flat[0]) if array.size else array


#: Ways to change values so that other ones are chosen, or another number of them: all of one sign, none, one only.
_CHANGES: tuple[Callable[[Array], Array], ...] = (
    lambda array: ~array if array.dtype == np.bool_ else np.flip(array).copy() * array.dtype.type(-1),
    lambda array: np.ones_like(array) if array.dtype == np.bool_ else abs(array),
    np.zeros_like,
    _first_everywhere,
    lambda array: np.arange(array.size).reshape(array.shape).astype(array.dtype),
)


def asked(graph: Graph, names: dict[Value, str], axes: Mapping[str, Any] | None, shapes: Any) -> Axes:
    """The dynamic axes that a caller has asked for, in one of two ways.

    Raises:
        OnnxExporterError: for a dim that an input does not have.
    """
    found = Axes(names)
    ranks = {name: len(value.shape) for value, name in names.items()}
    for name, dims in (axes or {}).items():
        table = found.of_inputs if name in ranks else found.of_outputs
        table[name] = _named(name, dims, ranks.get(name))
    if shapes is not None:
        for value, dims in _by_argument(graph, shapes):
            found.of_inputs[names[value]] = _named(names[value], _dims(dims), ranks[names[value]])
    found.of_inputs = {name: dims for name, dims in found.of_inputs.items() if dims}
    return found


def _named(name: str, dims: Any, rank: int | None) -> dict[int, str]:
    if not isinstance(dims, Mapping):
        dims = {dim: f"{name}_dynamic_axes_{number + 1}" for number, dim in enumerate(dims)}
    made = {}
    for dim, called in dims.items():
        if not isinstance(dim, int) or (rank is not None and not -rank <= dim < rank):
            raise OnnxExporterError(f"dynamic axes of {name!r}: there is no dim {dim!r} among {rank}")
        made[dim % rank if rank else dim] = str(called)
    return made


def _by_argument(graph: Graph, shapes: Any) -> Iterator[tuple[Value, Any]]:
    args, kwargs = graph.arguments
    if isinstance(shapes, Mapping):
        by_name = {value.name: value for value in graph.inputs}
        for name, dims in shapes.items():
            if name in kwargs:
                yield from _pairs(kwargs[name], dims)
            elif name in by_name:
                yield from _pairs(by_name[name], dims)
            else:
                raise OnnxExporterError(
                    f"dynamic_shapes: {name!r} is no argument; there are {sorted(by_name)}"
                )
        return
    yield from _pairs(tuple(args), shapes)


def _pairs(given: Any, dims: Any) -> Iterator[tuple[Value, Any]]:
    if isinstance(given, Value):
        if dims is not None:
            yield given, dims
    elif isinstance(given, tuple | list) and dims is not None:
        for each, one in zip(given, dims, strict=False):
            yield from _pairs(each, one)


def _dims(dims: Any) -> dict[int, str]:
    """Dims by number: a dict, or a sequence with an entry for every dim."""
    listed = dims.items() if isinstance(dims, Mapping) else enumerate(dims)
    made = {}
    for dim, each in listed:
        if each is None or (isinstance(each, int) and not isinstance(each, bool)):
            continue
        made[dim] = each if isinstance(each, str) else getattr(each, "__name__", f"dim_{dim}")
    return made


def _pair(pattern: Any, given: Any, pairs: list[tuple[Any, Any]]) -> None:
    if isinstance(pattern, Value):
        pairs.append((pattern, given))
    elif isinstance(pattern, Sequence) and not isinstance(pattern, str):
        for each, one in zip(pattern, given, strict=True):
            _pair(each, one, pairs)
    elif isinstance(pattern, dict):
        for key, each in pattern.items():
            _pair(each, given[key], pairs)


def _replaced(nest: Any, by_id: dict[int, Tensor]) -> Any:
    return map_nest(nest, lambda leaf: by_id.get(id(leaf), leaf))
