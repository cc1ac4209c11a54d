"""``onnx.export``: records a model's forward pass, and writes it as an ONNX model."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from distrt.core.modes import no_grad
from distrt.core.op import REGISTRY
from distrt.core.process.users_code import warn
from distrt.nn.modules.module import Module
from distrt.onnx.axes import Axes, asked
from distrt.onnx.drawing import Drawing
from distrt.onnx.errors import OnnxExporterError
from distrt.onnx.model import NEWEST, OLDEST, ONNXProgram, Port, built, library
from distrt.onnx.options import OperatorExportTypes, TrainingMode
from distrt.onnx.sizes import Sizes, compared, counting, have_other_counts, outputs_of
from distrt.onnx.translation import draw, rule_of
from distrt.onnx.verification import require_same_outputs
from distrt.tracing import Graph, TracerWarning, Value, record

__all__ = ["export", "in_mode", "is_in_onnx_export"]

_DEFAULT_OPSET = 18
_running: ContextVar[bool] = ContextVar("exporting", default=False)


def is_in_onnx_export() -> bool:
    """Whether a model is being exported, in this thread."""
    return _running.get()


def export(
    model: Any,
    args: Any = (),
    f: Any = None,
    *,
    kwargs: dict[str, Any] | None = None,
    verbose: bool | None = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    opset_version: int | None = None,
    dynamo: bool = True,
    external_data: bool = True,
    dynamic_shapes: Any = None,
    custom_translation_table: Mapping[Callable[..., Any], Any] | None = None,
    report: bool = False,
    optimize: bool = True,
    verify: bool = False,
    profile: bool = False,
    dump_exported_program: bool = False,
    artifacts_dir: str | os.PathLike[str] = ".",
    export_params: bool = True,
    keep_initializers_as_inputs: bool = False,
    dynamic_axes: Mapping[str, Any] | None = None,
    training: Any = TrainingMode.EVAL,
    operator_export_type: Any = OperatorExportTypes.ONNX,
    do_constant_folding: bool = True,
    custom_opsets: Mapping[str, int] | None = None,
    export_modules_as_functions: bool | Collection[type] = False,
    autograd_inlining: bool = True,
) -> ONNXProgram:
    """Writes a model as ONNX: what its forward pass does with these arguments.

    The model runs once, and again with other sizes where some are dynamic, so that only what follows from the inputs'
    sizes follows them in the file. It is given back in the mode that it came in, with the buffers that it had.

    Args:
        model: a module, or a function of tensors.
        args: its arguments: a tensor, or a tuple; a dict at the end of a tuple has keyword arguments.
        f: a path, or a file that is open for writing bytes; None writes nothing.
        kwargs: keyword arguments.
        verbose: True prints the model's graph.
        input_names: of the tensors among the arguments, in order; the parameters of ``forward`` name the others.
        output_names: of the tensors that are returned.
        opset_version: of ONNX's operators, 11 to 21; 18 where None.
        dynamic_shapes: by argument, which dims may have other sizes: ``{"x": {0: "batch"}}``.
        export_params: False leaves the weights out: they become inputs.
        keep_initializers_as_inputs: the weights are inputs, too, with defaults.
        dynamic_axes: the same by the names of inputs and outputs: ``{"input": {0: "batch"}}``, or ``{"input": [0]}``.
        training: the mode that the model is exported in.
        operator_export_type: operations that ONNX does not have are an error, whatever is asked for here.
        do_constant_folding: computes what depends on weights alone.
        verify: runs the exported model in onnxruntime with the same arguments: an error where that fails, an
            ``OnnxExporterWarning`` where its numbers are others.
        custom_opsets: must be empty, as must ``custom_translation_table`` and ``export_modules_as_functions``.

    The other arguments are PyTorch's, and change nothing here.

    Raises:
        ModuleNotFoundError: without the ``onnx`` package.
        OnnxExporterError: for a model that cannot be exported; an operation that is not known is named with its module.
    """
    _refuse(custom_translation_table, custom_opsets, export_modules_as_functions, operator_export_type)
    opset = _checked_opset(opset_version)
    _require_model(model)
    library()
    positional, keywords = _arguments(args, kwargs)
    mode = TrainingMode(int(training))
    with _exporting(), in_mode(model, mode), no_grad():
        graph = _recorded(model, positional, keywords)
        names = _input_names(graph, input_names)
        axes = asked(graph, names, dynamic_axes, dynamic_shapes)
        sizes = _sizes(model, positional, keywords, graph, axes)
        drawing = Drawing(opset, sizes)
        ports = _inputs(graph, drawing, names, axes, export_params)
        draw(graph, drawing, do_constant_folding and export_params and mode is not TrainingMode.TRAINING)
        outputs = _outputs(graph, drawing, output_names, axes, sizes)
        _warn_of_unknown(axes, [port.name for port in outputs])
    proto = built(drawing, _name_of(model), ports, outputs, keep_initializers_as_inputs and export_params)
    program = ONNXProgram(proto)
    if verbose:
        print(library().printer.to_text(proto))
    if verify:
        with in_mode(model, mode):
            require_same_outputs(program, model, positional, keywords)
    if f is not None:
        program.save(f)
    return program


def _refuse(table: Any, opsets: Any, functions: Any, kind: Any) -> None:
    for name, given in (
        ("custom_translation_table", table),
        ("custom_opsets", opsets),
        ("export_modules_as_functions", functions),
    ):
        if given:
            raise OnnxExporterError(f"{name} is not there: every operation has one form in distrt's exporter")
    if int(kind) == OperatorExportTypes.ONNX_ATEN:
        raise OnnxExporterError(
            "operator_export_type ONNX_ATEN is not there: no runtime takes ATen operations from here"
        )


def _require_model(model: Any) -> None:
    if not callable(model):
        said = ", which has weights and no forward pass" if isinstance(model, Mapping) else ""
        raise TypeError(
            f"onnx.export: model must be a torch.nn.Module or a function, got {type(model).__name__}{said}"
        )


def _checked_opset(version: int | None) -> int:
    version = _DEFAULT_OPSET if version is None else version
    if not isinstance(version, int):
        raise TypeError(f"opset_version must be an int, got {type(version).__name__}: {version!r}")
    if not OLDEST <= version <= NEWEST:
        raise OnnxExporterError(f"opset_version {version}: {OLDEST} to {NEWEST} are there")
    return version


def _arguments(args: Any, kwargs: dict[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    args = tuple(args) if isinstance(args, tuple | list) else (args,)
    if args and isinstance(args[-1], dict) and kwargs is None:
        return args[:-1], dict(args[-1])
    return args, dict(kwargs or {})


@contextlib.contextmanager
def _exporting() -> Iterator[None]:
    """`is_in_onnx_export` says so meanwhile."""
    token = _running.set(True)
    try:
        yield
    finally:
        _running.reset(token)


@contextlib.contextmanager
def in_mode(model: Any, mode: TrainingMode) -> Iterator[None]:
    """The model in this mode; afterwards every module in its own, with the buffers that it had."""
    if not isinstance(model, Module):
        yield
        return
    modes = {each: each.training for each in model.modules()}
    buffers = {each: each.detach().clone() for each in model.buffers()}
    if mode is not TrainingMode.PRESERVE:
        model.train(mode is TrainingMode.TRAINING)
    try:
        yield
    finally:
        for each, was in modes.items():
            each.training = was
        with no_grad():
            for buffer, content in buffers.items():
                if buffer.shape == content.shape:
                    buffer.copy_(content)


def _recorded(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
    """The recording, in which functions without a rule are replaced by what they call, where they call anything."""
    seen: set[str] = set()
    while True:
        graph = record(
            model, args, kwargs, module=model if isinstance(model, Module) else None, see_through=seen
        )
        unknown = {node.target for node in graph.nodes if rule_of(node.target) is None} - seen
        opened = {target for target in unknown if _is_composed(target)}
        if not opened:
            return graph
        seen |= opened


def _is_composed(target: str) -> bool:
    """Whether a function calls operations, and is none itself."""
    return target.startswith("nn.functional.") or (target in _COMPOSED and target not in REGISTRY)


_COMPOSED = frozenset(
    "hstack vstack dstack column_stack atleast_1d atleast_2d atleast_3d meshgrid kron".split()
)


def _sizes(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph: Graph, axes: Axes) -> Sizes:
    """What is the same for other sizes of the dynamic axes.

    Raises:
        OnnxExporterError: where the model runs with none of the sizes that are tried.
    """
    counted = counting(graph)
    if not axes.of_inputs:
        return _sizes_of_counts(model, args, kwargs, graph, axes) if counted else Sizes()
    fault: Exception | None = None
    for other_args, other_kwargs in axes.other_arguments(graph, args, kwargs):
        try:
            second = _recorded_again(model, other_args, other_kwargs)
        except Exception as caught:  # whatever the model raises for such sizes
            fault = caught
            continue
        if counted and not have_other_counts(graph, second):
            _warn_of_counts(graph)
        return compared(graph, second)
    raise OnnxExporterError(
        f"dynamic axes {axes.described()}: the model does not run with other sizes than those given: {fault}"
    ) from fault


def _sizes_of_counts(
    model: Any, args: tuple[Any, ...], kwargs: dict[str, Any], graph: Graph, axes: Axes
) -> Sizes:
    """What is the same for other values, where operations have results of as many elements as their values say."""
    for other_args, other_kwargs in axes.other_values(graph, args, kwargs):
        try:
            second = _recorded_again(model, other_args, other_kwargs)
        except Exception:
            continue
        if have_other_counts(graph, second):
            return compared(graph, second)
    _warn_of_counts(graph)
    return Sizes()


def _warn_of_counts(graph: Graph) -> None:
    node = counting(graph)[0]
    warn(
        f"the model may be wrong for other values than those given: {node.target} in "
        f"{node.scope or 'the model itself'} ({node.where}) gives as many elements as its values say, and no "
        "values were found for which it gives another number",
        TracerWarning,
    )


def _recorded_again(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _recorded(model, args, kwargs)


def _input_names(graph: Graph, given: Sequence[str] | None) -> dict[Value, str]:
    given = list(given or ())
    if len(given) > len(graph.inputs):
        raise OnnxExporterError(
            f"{len(given)} input_names for {len(graph.inputs)} tensors among the arguments"
        )
    names = given + [value.name for value in graph.inputs[len(given) :]]
    _require_different("input_names", names)
    return dict(zip(graph.inputs, names, strict=True))


def _require_different(what: str, names: Sequence[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise OnnxExporterError(f"{what}: {sorted(twice)} twice")


def _inputs(
    graph: Graph, drawing: Drawing, names: dict[Value, str], axes: Axes, export_params: bool
) -> list[Port]:
    ports = []
    for value, name in names.items():
        drawing.names[value] = drawing.unique(name)
        dims = axes.of_inputs.get(name, {})
        ports.append(Port(name, value.dtype, [dims.get(n, size) for n, size in enumerate(value.shape)]))
    if not export_params:
        for value in (*graph.parameters.values(), *graph.buffers.values()):
            drawing.names[value] = drawing.unique(value.path)
            ports.append(Port(drawing.names[value], value.dtype, value.shape))
    return ports


def _warn_of_unknown(axes: Axes, outputs: Sequence[str]) -> None:
    """Says which of ``dynamic_axes`` are the names of nothing: these axes keep their sizes."""
    for name in axes.of_outputs:
        if name not in outputs:
            warn(f"Provided key {name} for dynamic axes is not a valid input/output name: it has no effect")


def _outputs(
    graph: Graph, drawing: Drawing, given: Sequence[str] | None, axes: Axes, sizes: Sizes
) -> list[Port]:
    values, given = outputs_of(graph), list(given or ())
    if not values:
        raise OnnxExporterError("the model returns no tensor that follows from its inputs")
    if len(given) > len(values):
        raise OnnxExporterError(f"{len(given)} output_names for {len(values)} tensors that are returned")
    _require_different("output_names", given)
    drawing.at("", "")
    ports = []
    for number, value in enumerate(values):
        if number < len(given):
            name = given[number]
            if name in drawing.names.values():
                raise OnnxExporterError(f"{name!r} is the name of an input and of an output")
        else:
            name = drawing.unique("output" if len(values) == 1 else f"output_{number}")
        drawing.finish(value, name)
        ports.append(Port(name, value.dtype, axes.output_sizes(name, value, sizes)))
    return ports


def _name_of(model: Any) -> str:
    name = type(model).__name__ if isinstance(model, Module) else getattr(model, "__name__", "function")
    return re.sub(r"\W", "_", name)
