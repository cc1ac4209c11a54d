"""``jit.trace``: runs a function once and keeps the operations that it has called, not the control flow."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from distrt.core.errors import AutogradError
from distrt.core.process.users_code import warn
from distrt.core.random.generator import get_rng_state, set_rng_state
from distrt.core.tensor import Tensor
from distrt.jit.program import Program
from distrt.jit.recording import Calls, function_of
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import RecursiveScriptModule, TopLevelTracedModule, form_of
from distrt.jit.tree import Converter
from distrt.nn.modules.module import Module
from distrt.testing import assert_close
from distrt.tracing import Graph, TracerWarning, map_nest
from distrt.tracing.recorder import Recorder


class TracingCheckError(AutogradError):
    """A second recording of the same function has other operations."""


def trace(
    func: Any,
    example_inputs: Any = None,
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_kwarg_inputs: dict[str, Any] | None = None,
    _store_inputs: bool = True,
) -> Any:
    """Runs a module or function, and gives a script module or function that does the same operations.

    Sizes of tensors stay what they are in each call; everything else that is Python's (branches, loops, numbers made of
    tensors) is a constant of the trace, and says so in a TracerWarning. Parameters are shared with the module.

    Args:
        func: a module, a bound method of one, or a function of tensors.
        example_inputs: its arguments: a tuple of tensors and nests of them; one tensor stands for a tuple of it.
        optimize: not used, as in PyTorch.
        check_trace: run trace and Python once more, and warn where they differ.
        check_inputs: tuples of arguments for that; ``example_inputs`` without.
        check_tolerance: how far values may be apart.
        strict: refuse dicts as results, and warn of lists, whose structure a trace cannot follow.
        example_kwarg_inputs: keyword arguments, in the place of ``example_inputs``.

    Raises:
        RuntimeError: for arguments or results that are not made of tensors.
        TracingCheckError: where the function calls other operations the second time.
    """
    if optimize is not None:
        warn(
            "`optimize` is deprecated and has no effect. Use `with torch.jit.optimized_execution()` instead",
            FutureWarning,
        )
    if isinstance(func, RecursiveScriptModule | ScriptFunction):
        warn(
            "The input to trace is already a ScriptModule, tracing it is a no-op. Returning the object as is."
        )
        return func
    options = _Options(check_trace, check_inputs, check_tolerance, strict)
    example = _example(func, example_inputs, example_kwarg_inputs)
    if isinstance(func, Module):
        return _traced_module(func, {"forward": example}, options)
    owner = getattr(func, "__self__", None)
    if isinstance(owner, Module):
        return _traced_module(owner, {func.__name__: example}, options)
    program = Program()
    recorder = _recorded(func, example, None, options.strict)
    names = _names(func, len(example[0]))
    made = ScriptFunction(program, function_of(recorder.graph, _name(func), names, program, _place(func)))
    options.check(func, made, example, recorder.graph, None)
    return made


def trace_module(
    mod: Module,
    inputs: dict[str, Any],
    optimize: Any = None,
    check_trace: bool = True,
    check_inputs: Any = None,
    check_tolerance: float = 1e-5,
    strict: bool = True,
    _force_outplace: bool = False,
    _module_class: Any = None,
    _compilation_unit: Any = None,
    example_inputs_is_kwarg: bool = False,
    _store_inputs: bool = True,
) -> Any:
    """As ``trace``, for several methods of one module: ``inputs`` has their names, and each one's arguments."""
    if not isinstance(mod, Module):
        raise AttributeError("expected torch.nn.Module as the first argument")
    if not isinstance(inputs, dict):
        raise AttributeError("expected a dictionary of (method_name, input) pairs")
    examples = {
        name: _example(getattr(mod, name), *((None, given) if example_inputs_is_kwarg else (given, None)))
        for name, given in inputs.items()
    }
    return _traced_module(mod, examples, _Options(check_trace, check_inputs, check_tolerance, strict))


Example = tuple[tuple[Any, ...], dict[str, Any]]


class _Options:
    """How a trace is checked."""

    def __init__(self, check: bool, inputs: Any, tolerance: float, strict: bool) -> None:
        self._checks, self._inputs, self._tolerance, self.strict = check, inputs, tolerance, strict

    def check(
        self, function: Any, traced: Any, example: Example, graph: Graph, module: Module | None
    ) -> None:
        """Warns where Python and the trace differ for the same arguments."""
        if not self._checks:
            return
        random = _random_nodes(graph)
        for given in (
            [example] if self._inputs is None else [_example(function, each, None) for each in self._inputs]
        ):
            with _Kept(module):
                again = _recorded(function, given, module, strict=False)
            if [node.target for node in again.graph.nodes] != [node.target for node in graph.nodes]:
                raise TracingCheckError(
                    "Tracing failed sanity checks!\nERROR: Graphs diverged across invocations!\n"
                    + _difference(graph, again.graph)
                )
            with _Kept(module):
                _compare(again.result, traced(*_copied(given[0]), **_copied(given[1])), self._tolerance)
        if random:
            warn(
                "Trace had nondeterministic nodes. Did you forget call .eval() on your model? Nodes:\n\t"
                + "\n\t".join(map(str, random[:20]))
                + "\nThis may cause errors in trace checking. To disable trace checking, pass check_trace=False to "
                "torch.jit.trace()",
                TracerWarning,
            )


class _Kept:
    """Puts buffers and the stream of random numbers back when a check has run."""

    def __init__(self, module: Module | None) -> None:
        self._buffers = [] if module is None else [(each, each.detach().clone()) for each in module.buffers()]

    def __enter__(self) -> None:
        self._random = get_rng_state()

    def __exit__(self, *exception: object) -> None:
        set_rng_state(self._random)
        for buffer, before in self._buffers:
            buffer.data.copy_(before)


def _traced_module(module: Module, examples: dict[str, Example], options: _Options) -> Any:
    program = Program()
    functions, graphs = {}, {}
    for name, example in examples.items():
        method = module if name == "forward" else getattr(module, name)
        recorder = _recorded(method, example, module, options.strict)
        written = getattr(module, name)
        names = _names(written, len(example[0]))
        functions[name] = function_of(recorder.graph, name, names, program, _place(written))
        graphs[name] = recorder.graph
    made = _module(module, program, functions)
    for name, example in examples.items():
        method, traced = (module, made) if name == "forward" else (getattr(module, name), getattr(made, name))
        options.check(method, traced, example, graphs[name], module)
    return made


def _module(module: Module, program: Program, functions: dict[str, Any]) -> Any:
    """The script module: the traced methods at its root, and below it what holds parameters."""

    def hold(part: Module, converter: Converter) -> Module:
        cls = TopLevelTracedModule if part is module else form_of(part)
        made = cls._made(program, functions if part is module else {}, {}, type(part).__name__)
        converter.note(part, made)
        converter.adopt(made, part)
        return made  # type: ignore[no-any-return]

    return hold(module, Converter(hold, keeps_hooks=False))  # what they did is in the trace


def _recorded(
    function: Callable[..., Any], example: Example, module: Module | None, strict: bool
) -> Recorder:
    recorder = Recorder(module, _SEEN_THROUGH, Calls(module))
    recorder.run(function, _copied(example[0]), _copied(example[1]))
    if recorder.result is None:
        raise RuntimeError(
            "The traced function didn't return any values! Side-effects are not captured in traces, so it would be a "
            "no-op."
        )
    _require_tensors(recorder.result, "output")
    if strict:
        _look_at_containers(recorder.result)
    return recorder


def _look_at_containers(result: Any) -> None:
    """Warns of lists in a result, and refuses dicts, whose structure a trace cannot follow."""
    if isinstance(result, list | dict):
        said = (
            f"Encountering a {type(result).__name__} at the output of the tracer might cause the trace to be "
            "incorrect, this is only valid if the container structure does not change based on the module's inputs. "
            "Consider using a constant container instead (e.g. for `list`, use a `tuple` instead. for `dict`, use a "
            "`NamedTuple` instead). If you absolutely need this and know the side effects, pass strict=False to "
            "trace() to allow this behavior."
        )
        if isinstance(result, dict):
            raise RuntimeError(said)
        warn(said, TracerWarning)
    elif isinstance(result, tuple):
        for each in result:
            _look_at_containers(each)


def _example(function: Any, given: Any, named: dict[str, Any] | None) -> Example:
    """The arguments; keyword arguments in the order of the function's parameters, which the trace has them in."""
    if (given is None) == (named is None):
        raise RuntimeError("either example_inputs or example_kwarg_inputs must be given, and not both")
    args = () if given is None else (given,) if isinstance(given, Tensor | dict) else tuple(given)
    _require_tensors((args, named or {}), "input")
    order = _names(function.forward if isinstance(function, Module) else function, 0, keywords=True)
    return args, dict(
        sorted((named or {}).items(), key=lambda item: order.index(item[0]) if item[0] in order else -1)
    )


def _require_tensors(nest: Any, role: str) -> None:
    if isinstance(nest, tuple | list):
        for each in nest:
            _require_tensors(each, role)
    elif isinstance(nest, dict):
        for each in nest.values():
            _require_tensors(each, role)
    elif not isinstance(nest, Tensor) and not (
        role == "output" and isinstance(nest, int) and nest is not True
    ):
        kind = type(nest).__name__
        if role == "output":
            raise RuntimeError(
                "Only tensors, lists, tuples of tensors, or dictionary of tensors can be output from traced functions, "
                f"not {kind}"
            )
        raise RuntimeError(
            f"Type '{kind}' cannot be traced. Only Tensors and (possibly nested) Lists, Dicts, and Tuples of Tensors "
            "can be traced"
        )


def _copied(nest: Any) -> Any:
    """The arguments with tensors of their own, so that a function that changes them leaves the caller's alone."""

    def copy(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        made = leaf.detach().clone()
        return made.requires_grad_() if leaf.requires_grad else made

    return map_nest(nest, copy)


def _names(function: Any, count: int, keywords: bool = False) -> list[str]:
    """Names of the first positional parameters; those of ``*args`` have numbers. With ``keywords``, of all that may
    be given by name."""
    try:
        found = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        found = []
    if keywords:
        return [each.name for each in found]
    plain = [each.name for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    rest = next((each.name for each in found if each.kind is each.VAR_POSITIONAL), "input")
    return (plain + [f"{rest}_{number}" for number in range(count)])[:count]


def _name(function: Any) -> str:
    name = str(getattr(function, "__name__", type(function).__name__))
    return name if name.isidentifier() else "function"


def _place(function: Any) -> tuple[str, int]:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return ("", 0) if code is None else (code.co_filename, code.co_firstlineno)


#: Functions that take what a program cannot hold, a Python function or a class of options: what they call is kept.
_SEEN_THROUGH = ("nn.functional.triplet_margin_with_distance_loss", "nn.functional.linear_cross_entropy")
_RANDOM = frozenset(
    "rand randn randint randperm rand_like randn_like randint_like normal bernoulli binomial multinomial poisson "
    "Tensor.bernoulli_ Tensor.cauchy_ Tensor.exponential_ Tensor.geometric_ Tensor.log_normal_ Tensor.normal_ "
    "Tensor.random_ Tensor.uniform_ nn.functional.gumbel_softmax".split()
)
_DROPPING = ("dropout", "rrelu")


def _random_nodes(graph: Graph) -> list[Any]:
    """The nodes whose results are drawn."""

    def draws(node: Any) -> bool:
        if any(name in node.target for name in _DROPPING):
            return bool(node.arguments.get("training", node.arguments.get("train", False)))
        return node.target in _RANDOM

    return [node for node in graph.nodes if draws(node)]


def _difference(first: Graph, second: Graph) -> str:
    for one, other in zip(first.nodes, second.nodes, strict=False):
        if one.target != other.target:
            return f"first diverging operation:\n\t- {one}\n\t+ {other}"
    return f"{len(first.nodes)} operations in the first, {len(second.nodes)} in the second"


def _compare(expected: Any, given: Any, tolerance: float) -> None:
    ours, theirs = _tensors(given), _tensors(expected)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        try:
            assert_close(one.detach(), other.detach(), rtol=tolerance, atol=1e-5, equal_nan=True)
        except AssertionError as fault:
            warn(
                f"Output nr {number + 1}. of the traced function does not match the corresponding output of the Python "
                f"function. Detailed error:\n{fault}",
                TracerWarning,
            )


def _tensors(nest: Any) -> list[Tensor]:
    found: list[Tensor] = []
    map_nest(nest, lambda leaf: found.append(leaf) if isinstance(leaf, Tensor) else None)
    return found
