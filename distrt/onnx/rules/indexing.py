"""Elements picked and put: subscripts, gather, scatter, embeddings, one-hot rows, sorting."""

from __future__ import annotations

from typing import Any

import numpy as np

from distrt.core.dtypes import dtype as dt
from distrt.onnx.drawing import Drawing
from distrt.onnx.rules.table import Call, dim_of, rule
from distrt.tracing import Value

_END = 2**62


@rule("index")
def _index(g: Drawing, call: Call) -> Any:
    return _Subscript(g, call.input, call.key).picked()


@rule("Tensor.__setitem__")
def _set_item(g: Drawing, call: Call) -> Any:
    return _Subscript(g, call.first, call.key).put(call.value)


class _Subscript:
    """A key of a tensor, applied part by part: slices, then numbers and new dims, or tensors of indices."""

    def __init__(self, g: Drawing, value: Value, key: Any) -> None:
        self.g, self.value = g, value
        parts = list(key) if isinstance(key, tuple) else [key]
        parts = [self._tensor_of(each) for each in parts]
        if not any(each is Ellipsis for each in parts):
            parts.append(Ellipsis)
        at = next(n for n, each in enumerate(parts) if each is Ellipsis)
        taken = sum(self._dims_taken(each) for each in parts)
        self.parts = parts[:at] + [slice(None)] * (len(value.shape) - taken) + parts[at + 1 :]

    def _tensor_of(self, part: Any) -> Any:
        return np.asarray(part) if isinstance(part, list) else self.g.plain(part)

    def _dims_taken(self, part: Any) -> int:
        if part is None or part is Ellipsis or isinstance(part, bool):
            return 0
        if getattr(part, "dtype", None) is dt.bool_:
            return len(part.shape)
        return 1

    def picked(self) -> Any:
        g = self.g
        value: Any = self.value
        axis, squeezed, added, indexed, out = 0, [], [], [], 0
        for part in self.parts:
            if part is None:
                added.append(out)
                out += 1
                continue
            if isinstance(part, slice):
                value = self._sliced(value, axis, part)
                out += 1
            elif isinstance(part, bool):
                raise g.unsupported("a subscript that is True or False")
            elif isinstance(part, int):
                value = self._sliced(value, axis, slice(part, part + 1 if part != -1 else None))
                squeezed.append(axis)
            elif isinstance(part, Value) and part.type == "int":
                row = g.row([part])
                value = g.node("Slice", value, row, g.node("Add", row, g.integers(1)), g.integers(axis))
                squeezed.append(axis)
            else:
                indexed.append((axis, part))
                out += 1
            axis += self._dims_taken(part)
        if not indexed:
            value = g.squeeze(value, *squeezed) if squeezed else value
            return g.unsqueeze(value, *added) if added else value
        if added or squeezed:
            raise g.unsupported("a subscript with both tensors and new dims or numbers")
        return self._taken(value, indexed)

    def _sliced(self, value: Any, axis: int, part: slice) -> Any:
        g = self.g
        start, stop, step = (g.plain(each) for each in (part.start, part.stop, part.step))
        if start in (None, 0) and stop is None and step in (None, 1):
            return value
        return g.slice(value, axis, 0 if start is None else start, _END if stop is None else stop, step or 1)

    def _taken(self, value: Any, indexed: list[tuple[int, Any]]) -> Any:
        """With elements taken by tensors of indices, which stand side by side from some dim on."""
        g = self.g
        (first, part), *rest = indexed
        if getattr(part, "dtype", None) is dt.bool_:
            if rest or first:
                raise g.unsupported("a mask in a subscript that is not alone in front")
            places = g.node("Transpose", g.node("NonZero", part), perm=[1, 0])
            return g.node("GatherND", value, places)
        if not rest:
            return g.node("Gather", value, self._indices(part), axis=first)
        if first or [axis for axis, _ in indexed] != list(range(len(indexed))):
            raise g.unsupported("a subscript of several tensors that do not stand in front")
        return g.node("GatherND", value, self._joined([part for _, part in indexed]))

    def _joined(self, parts: list[Any]) -> str:
        """Indices that broadcast, as rows of places."""
        g = self.g
        shape = np.broadcast_shapes(*[tuple(part.shape) for part in parts])
        rank = len(shape)
        total: Any = self._indices(parts[0])
        for part in parts[1:]:
            total = g.node("Add", total, self._indices(part))
        whole = g.node("Shape", total)
        rows = [g.unsqueeze(g.node("Expand", self._indices(part), whole), rank) for part in parts]
        return g.node("Concat", *rows, axis=rank)

    def _indices(self, part: Any) -> Any:
        return self.g.cast(part, dt.int64) if isinstance(part, Value) else np.asarray(part, np.int64)

    def put(self, source: Any) -> Any:
        """The tensor with elements replaced, which lie in its first dims at fixed places."""
        g, value = self.g, self.value
        if len(self.parts) == 1 and getattr(self.parts[0], "dtype", None) is dt.bool_:
            return g.node("Where", self.parts[0], g.number(source, value.dtype), value)
        shape = [
            g.fixed(value, dim, "an assignment to a part") if not _is_whole(part) else 1
            for dim, part in enumerate(self.parts)
        ]
        if not all(isinstance(each, int | slice) for each in self.parts):
            raise g.unsupported("an assignment to places given by tensors or new dims")
        mask = np.zeros(shape, bool)
        mask[tuple(0 if False else each for each in self.parts)] = True
        if not isinstance(source, Value) or not source.shape:
            return g.node("Where", g.constant(mask), g.number(source, value.dtype), value)
        return self._put_part(source)

    def _put_part(self, source: Value) -> Any:
        """A tensor put in the place of a slice of one dim."""
        g, value = self.g, self.value
        changed = [dim for dim, part in enumerate(self.parts) if not _is_whole(part)]
        if len(changed) > 1:
            raise g.unsupported("an assignment of a tensor to a part that is cut in more than one dim")
        given: Any = g.cast(source, value.dtype)
        if not changed:
            return g.node("Expand", given, g.shape_of(value))
        (dim,) = changed
        size = g.fixed(value, dim, "an assignment to a part")
        places = np.arange(size)[self.parts[dim]]
        if isinstance(self.parts[dim], int):
            given = g.unsqueeze(given, dim) if len(source.shape) == len(value.shape) - 1 else given
        places = np.atleast_1d(places)
        whole = g.rows_of(value)
        given = g.node("Expand", given, g.row([*whole[:dim], len(places), *whole[dim + 1 :]]))
        turn = [dim, *[n for n in range(len(value.shape)) if n != dim]]
        back = list(np.argsort(turn))
        turned = g.node(
            "ScatterND",
            g.node("Transpose", value, perm=turn),
            places[:, None].astype(np.int64),
            g.node("Transpose", given, perm=turn),
        )
        return g.node("Transpose", turned, perm=[int(each) for each in back])


def _is_whole(part: Any) -> bool:
    return (
        isinstance(part, slice) and part.start in (None, 0) and part.stop is None and part.step in (None, 1)
    )


@rule("select")
def _select(g: Drawing, call: Call) -> Any:
    index = g.plain(call.index)
    given = g.name_of(index) if isinstance(index, Value) else g.scalar(index, dt.int64)
    return g.node("Gather", call.input, given, axis=dim_of(call.input, call.dim))


@rule("index_select")
def _index_select(g: Drawing, call: Call) -> Any:
    if not call.input.shape:
        raise g.unsupported("index_select of a single number")
    if not call.index.shape:
        return g.node("Gather", call.input, g.unsqueeze(call.index, 0), axis=dim_of(call.input, call.dim))
    return g.node("Gather", call.input, call.index, axis=dim_of(call.input, call.dim))


@rule("gather", "take_along_dim")
def _gather(g: Drawing, call: Call) -> Any:
    value, *rest = call.positions
    dim, index = rest[:2] if "gather" in call.target else rest[1::-1]
    if not value.shape or not index.shape or dim is None:
        raise g.unsupported(f"{call.target} of a single number, or without a dim")
    return g.node("GatherElements", value, index, axis=dim_of(value, dim))


@rule("scatter", "scatter_add")
def _scatter(g: Drawing, call: Call) -> Any:
    source = call.value if call.get("src") is None else call.src
    dtype = call.result.dtype
    if not call.input.shape or not call.index.shape:
        raise g.unsupported(f"{call.target} of a single number")
    if not isinstance(source, Value):
        source = g.node("Expand", g.scalar(source, dtype), g.shape_of(call.index))
    elif source.shape != call.index.shape:  # what the index does not name is left out
        for dim, size in enumerate(call.index.shape):
            g.fixed(call.index, dim, call.target)
            source = g.slice(source, dim, 0, size)
    how = {"scatter": call.get("reduce"), "scatter_add": "add"}[
        call.target.removeprefix("Tensor.").removesuffix("_")
    ]
    how = {"multiply": "mul"}.get(how, how)
    if how is not None and g.opset < 16:
        raise g.unsupported(f"{call.target} that combines elements")
    return g.node(
        "ScatterElements", call.input, call.index, source, axis=dim_of(call.input, call.dim), reduction=how
    )


@rule("masked_select")
def _masked_select(g: Drawing, call: Call) -> Any:
    shape = g.node("Shape", g.node("Or", g.node("Cast", call.input, to=dt.bool_), call.mask))
    value, mask = (g.node("Expand", each, shape) for each in (call.input, call.mask))
    return g.node("GatherND", value, g.node("Transpose", g.node("NonZero", mask), perm=[1, 0]))


@rule("nonzero")
def _nonzero(g: Drawing, call: Call) -> Any:
    if call.as_tuple:
        parts = g.split(g.node("NonZero", call.input), [1] * len(call.result), 0)
        return [g.squeeze(each, 0) for each in parts]
    return g.node("Transpose", g.node("NonZero", call.input), perm=[1, 0])


@rule("one_hot", "nn.functional.one_hot")
def _one_hot(g: Drawing, call: Call) -> Any:
    classes = g.plain(call.positions[1])
    if not isinstance(classes, int) or classes < 0:
        raise g.unsupported("one_hot without a number of classes")
    return g.node("OneHot", call.first, g.integers(classes), g.integers(0, 1), axis=-1)


@rule("embedding", "nn.functional.embedding")
def _embedding(g: Drawing, call: Call) -> Any:
    if call.get("max_norm") is not None:
        raise g.unsupported("an embedding with max_norm, which changes its weight")
    given = [call.input, call.weight]
    index, weight = given if not call.input.dtype.is_floating_point else given[::-1]
    return g.node("Gather", weight, index, axis=0)


@rule("nn.functional.embedding_bag")
def _embedding_bag(g: Drawing, call: Call) -> Any:
    if call.max_norm is not None:
        raise g.unsupported("an embedding with max_norm, which changes its weight")
    dtype, index, weight = call.result.dtype, call.input, call.weight
    found: Any = g.node("Gather", weight, index, axis=0)
    if call.per_sample_weights is not None:
        found = g.node("Mul", found, g.unsqueeze(call.per_sample_weights, len(index.shape)))
    counted: Any = None  # 1 for each row that belongs to a bag: (bags, rows)
    if len(index.shape) == 1:
        found, counted = g.unsqueeze(found, 0), _bags(g, call)
    if call.padding_idx is not None:
        padding = g.scalar(call.padding_idx % weight.shape[0], dt.int64)
        is_real = g.node("Not", g.node("Equal", g.cast(index, dt.int64), padding))
        counted = is_real if counted is None else g.node("And", counted, is_real)
    if counted is None:
        kind = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax"}[call.mode]
        return g.reduce(kind, found, [1])
    share = g.unsqueeze(counted, 2)
    zero = g.scalar(0, dtype)
    numbers = g.reduce("ReduceSum", g.node("Cast", share, to=dtype), [1])
    if call.mode == "max":
        best = g.reduce("ReduceMax", g.node("Where", share, found, g.scalar(-np.inf, dtype)), [1])
        return g.node("Where", g.node("Equal", numbers, zero), zero, best)
    total = g.reduce("ReduceSum", g.node("Where", share, found, zero), [1])
    return total if call.mode == "sum" else g.node("Div", total, g.node("Max", numbers, g.scalar(1, dtype)))


def _bags(g: Drawing, call: Call) -> str:
    """True where a row lies between a bag's beginning and the next one's. Shape: (bags, rows)."""
    zero, one, end = g.scalar(0, dt.int64), g.scalar(1, dt.int64), g.integers(_END)
    rows = g.unsqueeze(g.node("Range", zero, g.squeeze(g.size(call.input, 0), 0), one), 0)
    begins: Any = g.cast(call.offsets, dt.int64)
    if call.include_last_offset:
        begins, ends = g.slice(begins, 0, 0, -1), g.slice(begins, 0, 1, _END)
    else:
        ends = g.node("Concat", g.slice(begins, 0, 1, _END), end, axis=0)
    after = g.node("Not", g.node("Less", rows, g.unsqueeze(begins, 1)))
    return g.node("And", after, g.node("Less", rows, g.unsqueeze(ends, 1)))


@rule("topk")
def _topk(g: Drawing, call: Call) -> Any:
    return g.nodes_of(
        "TopK",
        2,
        call.input,
        g.row([call.k]),
        axis=dim_of(call.input, call.dim),
        largest=int(call.largest),
        sorted=int(call.sorted),
    )


@rule("sort", "argsort")
def _sort(g: Drawing, call: Call) -> Any:
    dim = dim_of(call.input, call.dim)
    found = g.nodes_of("TopK", 2, call.input, g.size(call.input, dim), axis=dim, largest=int(call.descending))
    return found[1] if call.target == "argsort" else found
