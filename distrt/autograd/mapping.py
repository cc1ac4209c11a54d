"""``vmap``: a function of one example, called for each example of a batch, its results stacked.

PyTorch runs the function once, with operations that know of the additional dim. Here it runs once for each example, so
it may do whatever Python can (branch on values, call ``item``), and takes that many calls' time.
Source: https://pytorch.org/docs/stable/generated/torch.func.vmap.html.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from distrt.autograd.trees import leaves_of, rebuilt, structure_of
from distrt.core import ops
from distrt.core.errors import ShapeError
from distrt.core.overriding.doors import overridable
from distrt.core.random.generator import default_generator
from distrt.core.tensor import Tensor

__all__ = ["vmap"]

_stack = overridable(ops.stack)

Dims = Any  # an int, None, or a tree of them: a prefix of the tree that it is for


def vmap(
    func: Callable[..., Any],
    in_dims: Dims = 0,
    out_dims: Dims = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The function that applies ``func`` to each slice of its inputs, and stacks what it returns.

    It nests with itself and with ``grad``, ``jacrev`` and the others, in any order.
    Keyword arguments are handed on as they are.

    Args:
        func: takes and returns tensors, or lists, tuples and dictionaries of them.
        in_dims: which dim of each positional input is sliced; None hands an input on as it is.
        out_dims: where each output has the new dim; None returns what the last call returned.
        randomness: "different" random numbers for each slice, the "same" ones, or an "error" where any are drawn.
        chunk_size: accepted for PyTorch's sake: slices are taken one by one.

    Raises:
        ValueError: for dims that do not fit the inputs or outputs, and inputs of different numbers of slices.
        RuntimeError: where random numbers are drawn under ``randomness="error"``; and for a batch without examples.
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(
            f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}"
        )
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, in_dims, out_dims)
        slices = call.slices(args)
        return call.stacked(
            [_drawn(randomness, func, each, kwargs) for each in _with_same(randomness, slices)]
        )

    return batched


def _with_same(randomness: str, slices: list[Any]) -> Any:
    """The slices; for "same" random numbers, the stream stands where it stood before each."""
    state = default_generator.get_state() if randomness == "same" else None
    for each in slices:
        if state is not None:
            default_generator.set_state(state)
        yield each


def _drawn(randomness: str, func: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    before = default_generator.get_state() if randomness == "error" else None
    result = func(*args, **kwargs)
    if before is not None and not bool(ops.equal(before, default_generator.get_state())):
        default_generator.set_state(before)  # what is refused draws nothing
        raise RuntimeError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags on vmap or perform the randomness operation out of vmap"
        )
    return result


class _Call:
    """One call of a mapped function: what its errors name, and the two ends of its work."""

    def __init__(self, func: Any, in_dims: Dims, out_dims: Dims) -> None:
        self.name = getattr(func, "__name__", None) or repr(func)
        self.in_dims, self.out_dims = in_dims, out_dims

    def slices(self, args: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """The positional arguments of each single call."""
        self._require_inputs(args)
        rows, dims = leaves_of(args), self._dims_of(args)
        for row, dim in zip(rows, dims, strict=True):
            self._require_dim(row, dim)
        sizes = [row.shape[dim] for row, dim in zip(rows, dims, strict=True) if dim is not None]
        if not sizes:
            raise ValueError("vmap: Expected at least one Tensor to vmap over")
        if any(size != sizes[0] for size in sizes):
            raise ValueError(
                "vmap: Expected all tensors to have the same size in the mapped dimension, "
                f"got sizes {sizes} for the mapped dimension"
            )
        if sizes[0] == 0:
            raise ShapeError(
                f"vmap({self.name}): the mapped dim has size 0, and what a call returns is not known without a call"
            )
        split = [
            [row] * sizes[0] if dim is None else row.unbind(dim) for row, dim in zip(rows, dims, strict=True)
        ]
        return [rebuilt(args, each) for each in zip(*split, strict=True)]

    def _require_inputs(self, args: tuple[Any, ...]) -> None:
        if not isinstance(self.in_dims, int | tuple):
            raise ValueError(
                f"{self._started()}: expected `in_dims` to be int or a (potentially nested) tuple matching the "
                f"structure of inputs, got: {type(self.in_dims)}."
            )
        if not args:
            raise ValueError(
                f"vmap({self.name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
                "vmap over a function with no inputs. The latter is unsupported."
            )

    def _dims_of(self, args: tuple[Any, ...]) -> list[Any]:
        found = _spread(self.in_dims, args)
        if found is None:
            raise ValueError(
                f"{self._started()}: in_dims is not compatible with the structure of `inputs`. in_dims has "
                f"structure {structure_of(self.in_dims)} but inputs has structure {structure_of(args)}."
            )
        return found

    def _require_dim(self, row: Any, dim: Any) -> None:
        if dim is None:
            return
        if not isinstance(dim, int):
            raise ValueError(
                f"{self._started()}: Got in_dim={dim} for an input but in_dim must be either an integer dimension "
                "or None."
            )
        if not isinstance(row, Tensor):
            raise ValueError(
                f"{self._started()}: Got in_dim={dim} for an input but the input is of type {type(row)}. We cannot "
                "vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not -row.ndim <= dim < row.ndim:
            raise ValueError(
                f"{self._started()}: Got in_dim={dim} for some input, but that input is a Tensor of dimensionality "
                f"{row.ndim} so expected in_dim to satisfy -{row.ndim} <= in_dim < {row.ndim}."
            )

    def _started(self) -> str:
        return f"vmap({self.name}, in_dims={self.in_dims}, ...)(<inputs>)"

    def stacked(self, results: list[Any]) -> Any:
        """What the calls returned, as one tree of stacked tensors."""
        first = results[0]
        alone = isinstance(first, Tensor)
        one_dim = alone and isinstance(self.out_dims, tuple) and len(self.out_dims) == 1
        dims = list(self.out_dims) if one_dim else _spread(self.out_dims, first)
        if dims is None:
            raise ValueError(
                f"vmap({self.name}, ..., out_dims={self.out_dims})(<inputs>): out_dims is not compatible with the "
                f"structure of `outputs`. out_dims has structure {structure_of(self.out_dims)} but outputs has "
                f"structure {structure_of(first)}."
            )
        columns = zip(*(leaves_of(each) for each in results), strict=True)
        return rebuilt(first, [self._joined(column, dim) for column, dim in zip(columns, dims, strict=True)])

    def _joined(self, column: tuple[Any, ...], dim: Any) -> Any:
        if dim is None:
            return column[-1]
        if not isinstance(dim, int):
            raise ValueError(
                f"vmap({self.name}, ..., out_dims={self.out_dims}): `out_dims` must be an int, None or a python "
                "collection of ints representing where in the outputs the vmapped dimension should appear."
            )
        for each in column:
            if not isinstance(each, Tensor):
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got type {type(each)}. "
                    "Did you mean to set out_dims= to None for output?"
                )
        if any(hasattr(each, "_norm_over_ranks") for each in column):  # ranks have parts of them
            return _stack(column, dim)
        return ops.stack(column, dim)


def _spread(dims: Dims, tree: Any) -> list[Any] | None:
    """A dim for each leaf of the tree; None where ``dims`` is no prefix of it."""
    if not isinstance(dims, dict | list | tuple):
        return [dims] * len(leaves_of(tree))
    if isinstance(tree, dict) and isinstance(dims, dict):
        pairs = (
            [(dims.get(key, _Absent), each) for key, each in tree.items()] if len(dims) == len(tree) else []
        )
    elif isinstance(tree, list | tuple) and type(dims) is type(tree) and len(dims) == len(tree):
        pairs = list(zip(dims, tree, strict=True))
    else:
        return None
    if len(pairs) != len(tree) or any(each is _Absent for each, _ in pairs):
        return None
    rows = [_spread(each, part) for each, part in pairs]
    return (
        None if any(row is None for row in rows) else [dim for row in rows if row is not None for dim in row]
    )


class _Absent:
    """Stands where a dictionary of dims lacks a key."""
