"""``FlopCounterMode``: counts the floating-point operations of products, convolutions, recurrent layers and attention.

A multiplication and an addition are two. Forward passes are seen where operations compute
(``core/overriding/kernels.py``), and so are derivative rules that are made of other operations; of linear and recurrent
layers and attention, which have rules in array code, a hook on the node counts. An LSTM counts whatever computes it:
PyTorch's counts in float64, and not where one kernel does all of it. Source: PyTorch's formulas, in
https://docs.pytorch.org/docs/main/torch.utils.flop_counter.html
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from distrt.core.autograd import engine
from distrt.core.modes import modes
from distrt.core.named_ops import OpOverloadPacket, aten
from distrt.core.overriding.kernels import name_in_pytorch, watched
from distrt.nn.modules.global_hooks import register_module_forward_hook, register_module_forward_pre_hook
from distrt.nn.modules.module import Module
from distrt.tracing.flops import flops_of

__all__ = ["FlopCounterMode"]

#: What arrives at a node: an array for each output, or None.
Gradients = Sequence[Any]
#: A name of PyTorch's, and a count.
Count = tuple[str, int]


class FlopCounterMode:
    """Counts what is computed in its block, by operation and by module.

    Args:
        mods: accepted: modules are followed as they are called.
        depth: how deep the table goes into modules.
        display: print the table at the end of the block.
        custom_mapping: accepted where it is empty.

    Raises:
        NotImplementedError: for a ``custom_mapping``.
    """

    def __init__(
        self,
        mods: Module | list[Module] | None = None,
        depth: int = 2,
        display: bool = True,
        custom_mapping: dict[Any, Any] | None = None,
    ) -> None:
        if custom_mapping:
            raise NotImplementedError(
                "FlopCounterMode: custom_mapping is not there: only PyTorch's own formulas are"
            )
        self.depth, self.display = depth, display
        self.flop_counts: dict[str, dict[OpOverloadPacket, int]] = defaultdict(_counts)
        self._called: list[str] = []  # the modules that run, the innermost last
        self._running: Any = None  # the node whose gradients are computed
        self._origin: tuple[
            str, ...
        ] = ()  # of the node whose gradients are computed: those that ran when it was made
        self._is_on = False
        self._around = ExitStack()

    def __enter__(self) -> Self:
        self.flop_counts.clear()
        names: dict[int, str] = {}
        self._around = ExitStack()
        for handle in (
            register_module_forward_pre_hook(lambda module, args: self._begin(module, names)),
            register_module_forward_hook(lambda module, args, result: self._end(), always_call=True),
        ):
            self._around.callback(handle.remove)
        self._around.enter_context(watched(self._run))
        self._around.enter_context(self._following_nodes())
        self._is_on = True
        return self

    def __exit__(self, *exception: object) -> None:
        self._is_on = False
        self._called.clear()
        self._around.close()
        if self.display:
            print(self.get_table(self.depth))

    # -- what was counted

    def get_total_flops(self) -> int:
        """All operations of the block."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[OpOverloadPacket, int]]:
        """By module (``Global`` is everything), and by operation."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth: int | None = None) -> str:
        """The counts as text, modules down to a depth."""
        depth = self.depth if depth is None else depth
        total = max(self.get_total_flops(), 1)
        largest = max((sum(counts.values()) for counts in self.flop_counts.values()), default=0)
        rows = [("Module", "FLOP", "% Total")]
        for name in ["Global", *sorted(each for each in self.flop_counts if each != "Global")]:
            if name != "Global" and name.count(".") + 1 > depth:
                continue
            counts = self.flop_counts[name]
            lines = [(name, sum(counts.values())), *((f"- {op}", count) for op, count in counts.items())]
            rows += [(label, _short(count, largest), f"{count / total * 100:.2f}%") for label, count in lines]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        rule = tuple("-" * width for width in widths)
        return "\n".join(
            f"{label:<{widths[0]}}  {count:>{widths[1]}}  {share:>{widths[2]}}".rstrip()
            for label, count, share in (rows[0], rule, *rows[1:])
        )

    # -- counting

    def _add(self, counted: Count) -> None:
        name, count = counted
        op = getattr(aten, name)
        modules = self._called or (self._origin if engine.is_running() else ())
        for place in dict.fromkeys(("Global", *modules)):
            self.flop_counts[place][op] += count

    def _run(
        self, name: str, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        made = forward(*args, **kwargs)
        count = _forward(name, args, made)
        if count is not None:
            called = name_in_pytorch(name, args)[0]
            self._add((f"{called}_backward" if self._is_gradient_of_convolution(called) else called, count))
        return made

    def _is_gradient_of_convolution(self, called: str) -> bool:
        """Of a transposed one a gradient is a plain convolution."""
        return called == "convolution" and self._running == "transposed_convolution" and engine.is_running()

    @contextmanager
    def _following_nodes(self) -> Iterator[None]:
        role = f"flops {id(self)}"
        modes.watch_with(role, self._follow)
        try:
            yield
        finally:
            modes.watch_with(role, None)

    def _follow(self, node: Any) -> None:
        origin = tuple(self._called)
        name = getattr(getattr(node, "definition", None), "name", "")
        rule = _BACKWARD.get(name)
        shapes = [None if meta is None else meta[0] for meta in getattr(node, "metas", ())]

        def before(gradients: Any) -> None:
            self._origin, self._running = origin, name
            if rule is None or not self._is_on or engine.running_pass().create_graph:
                return
            for counted in rule(gradients, shapes, node):
                self._add(counted)

        node.register_prehook(before)

    # -- modules

    def _begin(self, module: Module, names: dict[int, str]) -> None:
        if id(module) not in names:
            self._name(module, names)
        self._called.append(names[id(module)])

    def _end(self) -> None:
        self._called.pop()

    @staticmethod
    def _name(root: Module, names: dict[int, str]) -> None:
        kind = type(root).__name__
        for path, each in root.named_modules():
            names.setdefault(id(each), f"{kind}.{path}" if path else kind)


def _counts() -> dict[OpOverloadPacket, int]:
    return defaultdict(int)


def _short(count: int, largest: int) -> str:
    """As in PyTorch's table: all in the unit of the largest."""
    place = max(0, min(5, (len(str(largest)) - 1) // 3))
    unit = ("", "K", "M", "B", "T", "Q")[place]
    return f"{count / 1000**place:.3f}{unit}" if unit else str(count)


# Formulas


def _forward(name: str, args: tuple[Any, ...], made: Any) -> int | None:
    """What an operation's forward function computes; None for one that is not counted."""
    if name == "convolution_weight_gradient":  # as if there were one group: PyTorch's formula
        gradient, input = args[0].shape, args[1].shape
        return int(2 * math.prod(input) * gradient[1] * math.prod(made.shape[2:]))
    if name not in _COUNTED_AS:
        return None
    first = made[0] if isinstance(made, tuple) else made
    return flops_of(_COUNTED_AS[name], [getattr(each, "shape", ()) for each in args], first.shape)


def _linear_backward(g: Gradients, shapes: list[Any], node: Any) -> list[Count]:
    """Of the input's gradient; the weight's is a product of its own, but where it is written into a bucket."""
    width = shapes[0][-1] if shapes[0] is not None else shapes[1][-1]
    leaf = getattr(node.edges[1][0], "variable", None) if shapes[1] is not None else None
    count = (shapes[0] is not None) + (getattr(leaf, "_grad_slot", None) is not None)
    return [("mm", 2 * math.prod(g[0].shape) * width)] * count


def _attention_backward(g: Gradients, shapes: list[Any], node: Any) -> list[Count]:
    query, key, value = shapes[:3]
    if query is None or key is None or value is None:
        return []
    count = 2 * math.prod(query[:-1]) * key[-2] * (3 * query[-1] + 2 * value[-1])
    return [("_scaled_dot_product_flash_attention_for_cpu_backward", count)]


def _recurrent_backward(g: Gradients, shapes: list[Any], node: Any) -> list[Count]:
    """Of a layer's steps, whose rows are one behind the other: each product's two gradients, where they are wanted."""
    wanted = dict(zip(node.definition.tensors, shapes, strict=True))

    def size(name: str) -> Any:
        """The shape of a tensor whose gradient is wanted, or that was kept."""
        return wanted[name] or getattr(node.given(name), "shape", None)

    rows, batch = (size(name)[0] for name in ("input", "hidden"))
    count = 0
    for name, rows_of_left in (
        ("weight_ih", rows if wanted["input"] else 0),
        ("weight_hh", rows if wanted["hidden"] else rows - batch),
        ("weight_hr", rows),
    ):
        if name in wanted and (weight := size(name)) is not None:
            count += math.prod(weight) * (rows_of_left + (rows if wanted[name] else 0))
    return [("mm", 2 * count)]


#: By the operation: what `flops_of` knows its forward function's arguments under.
_COUNTED_AS = {
    "_product": "mm",
    "_add_product": "addmm",
    "linear": "linear",
    "convolution": "conv2d",
    "transposed_convolution": "conv_transpose2d",
    "convolution_input_gradient": "conv_transpose2d",
    "attention": "scaled_dot_product_attention",
    "rnn_layer": "rnn_tanh",
    "gru_layer": "gru",
    "lstm_layer": "lstm",
}

#: What a rule in array code computes.
_BACKWARD: dict[str, Callable[[Gradients, list[Any], Any], list[Count]]] = {
    "linear": _linear_backward,
    "attention": _attention_backward,
    **dict.fromkeys(("rnn_layer", "gru_layer", "lstm_layer"), _recurrent_backward),
}
