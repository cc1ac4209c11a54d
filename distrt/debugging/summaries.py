"""``summary``: a model's modules as a table, with what a forward pass shows of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from distrt.core.creation import zeros
from distrt.core.modes import no_grad
from distrt.core.tensor import Tensor
from distrt.nn.modules.module import Module
from distrt.tracing import record
from distrt.tracing.flops import flops_of

__all__ = ["ModelSummary", "Row", "summary"]


@dataclass
class Row:
    """One module.

    Attributes:
        path: its dotted name; "" for the model.
        kind: its class's name.
        depth: 0 for the model.
        output: the shapes that it gave, as text; "" for a module that did not run.
        parameters: how many it has of its own.
        trained: how many of these get gradients.
        flops: operations of products and convolutions that it called itself; a multiplication and an addition are two.
        bytes: of what it gave.
    """

    path: str
    kind: str
    depth: int
    output: str = ""
    parameters: int = 0
    trained: int = 0
    flops: int = 0
    bytes: int = 0


@dataclass
class ModelSummary:
    """What ``summary`` gives; its text is the table.

    Attributes:
        rows: a row for each module, in the order of the model's text.
        parameters, trained, flops: of all of them; a shared parameter counts once.
        parameter_bytes, output_bytes: memory of the parameters, and of what modules gave that had no other run.
    """

    rows: list[Row] = field(default_factory=list)
    parameters: int = 0
    trained: int = 0
    flops: int = 0
    parameter_bytes: int = 0
    output_bytes: int = 0

    def __str__(self) -> str:
        cells = [("Module", "Output", "Parameters", "FLOPs")]
        for row in self.rows:
            name = (
                f"{'  ' * row.depth}{row.path.rpartition('.')[2]} ({row.kind})".strip()
                if row.path
                else row.kind
            )
            flops = _short(row.flops) if row.flops else "-"
            cells.append((f"{'  ' * row.depth}{name}", row.output or "-", f"{row.parameters:,}", flops))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(
                [
                    name.ljust(widths[0]),
                    output.ljust(widths[1]),
                    count.rjust(widths[2]),
                    flops.rjust(widths[3]),
                ]
            )
            for name, output, count, flops in cells
        ]
        rule = "-" * len(lines[0])
        return "\n".join(
            [
                lines[0].rstrip(),
                rule,
                *(line.rstrip() for line in lines[1:]),
                rule,
                f"{self.parameters:,} parameters ({self.trained:,} trained), {_short(self.parameter_bytes)}B; "
                f"{_short(self.flops)}FLOPs and {_short(self.output_bytes)}B of outputs a forward pass",
            ]
        )

    __repr__ = __str__


def summary(
    model: Module,
    input_size: Sequence[Any] | int | None = None,
    input_data: Any = None,
    depth: int | None = None,
    dtypes: Any = None,
) -> ModelSummary:
    """A model's modules, with shapes, parameters, operations and memory of one forward pass.

    The pass runs in evaluation mode and without gradients; the model's mode is put back.

    Args:
        model: any module.
        input_size: the shape of its argument, or a list of shapes; the arguments are zeros.
        input_data: a tensor, a tuple of arguments, or a dictionary of them, in place of it.
        depth: how deep the table goes; all the way where None.
        dtypes: of the arguments that ``input_size`` names, one or a list; the model's own where None.

    Raises:
        TypeError: what is given is no module.
        ValueError: neither or both of ``input_size`` and ``input_data`` are given.
    """
    if not isinstance(model, Module):
        raise TypeError(f"summary: expected a module, got {type(model).__name__}")
    if dtypes is None:
        dtypes = next((each.dtype for each in model.parameters() if each.is_floating_point()), None)
    arguments = _arguments(input_size, input_data, dtypes)
    rows = {path: _row(path, module) for path, module in model.named_modules(remove_duplicate=False)}
    handles = [module.register_forward_hook(_noting(rows[path])) for path, module in model.named_modules()]
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        with no_grad():
            graph = record(model, *arguments)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    for node in graph.nodes:
        if node.scope in rows and node.outputs:
            shapes = [value.shape for value in node.inputs]
            rows[node.scope].flops += flops_of(node.target.rpartition(".")[2], shapes, node.outputs[0].shape)
    parameters = list(model.parameters())
    flops = sum(row.flops for row in rows.values())
    return ModelSummary(
        list(rows.values()) if depth is None else _cut(rows.values(), depth),
        sum(each.numel() for each in parameters),
        sum(each.numel() for each in parameters if each.requires_grad),
        flops,
        sum(each.nbytes for each in parameters),
        sum(rows[path].bytes for path, module in model.named_modules() if not _delegates(path, module, rows)),
    )


def _delegates(path: str, module: Module, rows: dict[str, Row]) -> bool:
    """Whether a module has had others run, so that what it gave is mostly theirs."""
    return any(rows[f"{path}.{name}".lstrip(".")].output for name, _ in module.named_children())


def _cut(rows: Iterable[Row], depth: int) -> list[Row]:
    """The rows down to a depth; those at that depth have the parameters and operations of all below them, too."""
    found: list[Row] = []
    for row in rows:  # what is below a module comes right after it
        if row.depth <= depth:
            found.append(row)
        else:
            found[-1].parameters += row.parameters
            found[-1].trained += row.trained
            found[-1].flops += row.flops
    return found


def _arguments(
    input_size: Sequence[Any] | int | None, input_data: Any, dtypes: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Those without names, and those with."""
    if (input_size is None) == (input_data is None):
        raise ValueError("summary: expected either input_size or input_data")
    if input_size is None:
        if isinstance(input_data, dict):
            return (), input_data
        return (tuple(input_data) if isinstance(input_data, tuple | list) else (input_data,)), {}
    if isinstance(input_size, int):
        input_size = (input_size,)
    shapes = input_size if input_size and not isinstance(input_size[0], int) else [input_size]
    kinds = dtypes if isinstance(dtypes, tuple | list) else [dtypes] * len(shapes)
    return tuple(zeros(*shape, dtype=kind) for shape, kind in zip(shapes, kinds, strict=True)), {}


def _row(path: str, module: Module) -> Row:
    own = list(module.parameters(recurse=False))
    return Row(
        path,
        type(module).__name__,
        path.count(".") + 1 if path else 0,
        parameters=sum(each.numel() for each in own),
        trained=sum(each.numel() for each in own if each.requires_grad),
    )


def _noting(row: Row) -> Any:
    def note(module: Module, given: Any, result: Any) -> None:
        tensors = list(_tensors_in(result))
        row.output = ", ".join(str(list(each.shape)) for each in tensors)
        row.bytes += sum(each.nbytes for each in tensors)

    return note


def _tensors_in(nest: Any) -> Iterator[Tensor]:
    if isinstance(nest, Tensor):
        yield nest
    elif isinstance(nest, tuple | list):
        for each in nest:
            yield from _tensors_in(each)
    elif isinstance(nest, dict):
        yield from _tensors_in(list(nest.values()))


def _short(count: int) -> str:
    """With three digits and the letter of a thousand, a million, and so on."""
    for letter in ("", "k", "M", "G"):
        if count < 999.5:
            return f"{count:.3g} {letter}"
        count = count / 1000  # type: ignore[assignment]
    return f"{count:.3g} T"
