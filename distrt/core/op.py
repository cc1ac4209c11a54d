"""``@op``: an operation is defined once, and this file makes it callable on arrays and on tensors.

A definition is a forward function on arrays plus derivative rules in terms of other ops. From the two, one Python
function is written (as source, compiled at the first call): it unwraps tensors, applies the dtype rule, runs the
forward function, and records a node that keeps exactly what the rules name. Written-out code instead of a generic
loop is what keeps an operation's overhead near one microsecond; ``print(NAME.definition.source())`` shows it.

    @op(dtype="promote")
    def mul(input: Array, other: Array | Scalar) -> Array: ...

    mul.gradient(input=lambda g, other: mul(g, other), other=lambda g, input: mul(g, input))

Parameters annotated ``Array`` are differentiable tensors, ``Sequence[Array]`` a list of them, ``IndexArray`` a tensor
that only steers (indices, masks, targets); all others are plain values. A rule's parameters choose what is kept:

* an input's name: that array, after promotion;     ``NAME_meta``: its shape and dtype only;
* ``out``, or a name given to ``.outputs(...)``;     an ``aux`` name: an extra result of forward that is not returned;
* a plain parameter's name: its value;               ``g`` (``g_NAME`` with several outputs): the gradient, or None.
"""

from __future__ import annotations

import collections
import inspect
import linecache
import types
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from distrt.core import dtype as dt
from distrt.core.arrays import FAULTS, explain, require_array, require_sequence
from distrt.core.autograd.node import Node, next_sequence
from distrt.core.modes import modes
from distrt.core.promotion import RULES
from distrt.core.tensor import Tensor

IndexArray = Any  # an array that steers an operation and has no gradient


class Meta(NamedTuple):
    """What a rule gets to know of an input that it does not keep."""

    shape: tuple[int, ...]
    dtype: Any


class OpFunction(Protocol):
    """What ``@op`` returns: a plain function with the definition's verbs as attributes."""

    definition: Definition
    gradient: Callable[..., None]
    gradients: Callable[[Callable[..., Any]], Callable[..., Any]]
    outputs: Callable[..., None]
    composite: Callable[..., Any] | None
    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation."""


#: Every op by name, for the op table of the tests and for the documentation.
REGISTRY: dict[str, OpFunction] = {}


def op(
    *,
    dtype: str = "keep",
    autocast: str = "none",
    aux: tuple[str, ...] = (),
    view: bool = False,
    node: str = "",
) -> Callable[[Callable[..., Any]], OpFunction]:
    """Defines an operation.

    Args:
        dtype: "promote" (PyTorch's promotion), "float" (the same, integers become float32), "same" (must be equal
            already), "keep" (every dtype as it comes).
        autocast: what a mixed-precision region does to the inputs: "lower", "full", "widest" or "none".
        aux: names of extra results of forward, kept for the rules and not returned.
        view: the result shares memory with the first input.
        node: PyTorch's name of the node, where it is not the op's own name.
    """

    def define(forward: Callable[..., Any]) -> OpFunction:
        definition = Definition(forward, dtype, autocast, aux, view, node)
        REGISTRY[definition.name] = definition.function
        return definition.function

    return define


class Definition:
    """One operation: its forward function, rules and what they keep."""

    def __init__(
        self,
        forward: Callable[..., Any],
        dtype: str,
        autocast: str,
        aux: tuple[str, ...],
        view: bool,
        node: str,
    ) -> None:
        self.forward = forward
        self.name = forward.__name__.rstrip("_")
        self.dtype_rule = dtype
        self.autocast = autocast
        self.aux = aux
        self.view = view
        self.node_name = (node or "".join(part.title() for part in self.name.split("_"))) + "Backward0"
        self.output_names: tuple[str, ...] = ()
        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint_rule: Callable[..., Any] | None = None
        self.takes_into = False
        self.parameters = dict(inspect.signature(forward).parameters)
        self.sequence = next((name for name, p in self.parameters.items() if _is(p, "Sequence[Array]")), None)
        self.tensors = [name for name, p in self.parameters.items() if _is(p, "Array")]
        self.steering = [name for name, p in self.parameters.items() if _is(p, "IndexArray")]
        self.kept: list[str] = []
        self.keeps_arrays = False  # besides inputs and outputs, which have version counters
        self.backward: Callable[..., Any] | None = None
        self.function: OpFunction = self._make_function()

    # -- the verbs of a definition

    def gradient(self, **rules: Callable[..., Any]) -> None:
        """Gives one rule per differentiable input."""
        for name, rule in rules.items():
            if name not in self.tensors and name != self.sequence:
                raise TypeError(f"{self.name}: a rule for {name!r}, which is not an Array parameter")
            self.rules[name] = rule

    def gradients(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Gives one joint rule, which returns a tuple: one gradient (or None) per differentiable input."""
        self.joint_rule = rule
        self.takes_into = "into" in inspect.signature(rule).parameters
        return rule

    def outputs(self, *names: str) -> None:
        """Names several outputs, which are returned as a named tuple."""
        self.output_names = names

    # -- the function that users call

    def _make_function(self) -> Any:
        self._namespace: dict[str, Any] = {"__name__": self.forward.__module__, "definition": self}
        function = types.FunctionType(_stub.__code__, self._namespace, self.name)
        function.__doc__ = self.forward.__doc__
        function.__module__ = self.forward.__module__
        function.__qualname__ = self.name
        function.__annotations__ = self.forward.__annotations__
        function.__signature__ = inspect.signature(self.forward)  # type: ignore[attr-defined]
        for verb in ("gradient", "gradients", "outputs"):
            setattr(function, verb, getattr(self, verb))
        function.definition = self  # type: ignore[attr-defined]
        function.composite = None  # type: ignore[attr-defined]
        return function

    @property
    def differentiable(self) -> list[str]:
        """The inputs that have a rule, in the order of the node's edges."""
        if self.joint_rule is not None:
            return self.tensors
        return [name for name in self.tensors if name in self.rules]

    def first_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Writes and compiles the call function, puts it in the place of the stub, and calls it."""
        self.compile()
        return self.function(*args, **kwargs)

    def compile(self) -> Callable[..., Any]:
        """Turns the definition into code, and returns the backward function; the rules must all be given by now."""
        source = self.source()
        self.keeps_arrays = any(name in (*self.aux, *self.steering) for name in self.kept)
        filename = f"<op {self.name}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        self._namespace.update(_namespace(self))
        exec(compile(source, filename, "exec"), self._namespace)
        written = self._namespace["call"]
        self.backward = backward = self._namespace["backward"]
        function: Any = self.function
        function.__defaults__, function.__kwdefaults__ = written.__defaults__, written.__kwdefaults__
        function.__code__ = written.__code__.replace(co_name=self.name)
        return backward  # type: ignore[no-any-return]

    def source(self) -> str:
        """The source of the call function and of the backward function."""
        self.kept = _kept_names(self)
        writer = _Writer(self)
        return writer.call() + "\n\n\n" + writer.backward() + "\n"


def _stub(*args: Any, **kwargs: Any) -> Any:
    return definition.first_call(args, kwargs)  # type: ignore[name-defined]  # noqa: F821 - in the op's own namespace


def _is(parameter: inspect.Parameter, kind: str) -> bool:
    annotation = str(parameter.annotation)
    return annotation == kind or annotation.startswith(kind + " |")


def _rule_parameters(rule: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(rule).parameters)


_ENGINE_SUPPLIED = ("needs", "into")


def _is_gradient_name(definition: Definition, name: str) -> bool:
    return name == "g" or (name.startswith("g_") and name[2:] in definition.output_names)


def _kept_names(definition: Definition) -> list[str]:
    rules = [definition.joint_rule] if definition.joint_rule else list(definition.rules.values())
    names = dict.fromkeys(name for rule in rules for name in _rule_parameters(rule))
    return [
        name for name in names if not _is_gradient_name(definition, name) and name not in _ENGINE_SUPPLIED
    ]


def _namespace(definition: Definition) -> dict[str, Any]:
    space: dict[str, Any] = {
        "FAULTS": FAULTS,
        "FLOATING": dt.FLOATING_NUMPY,
        "F32": dt.float32.numpy,
        "F64": dt.float64.numpy,
        "Meta": Meta,
        "Node": Node,
        "Tensor": Tensor,
        "asarray": np.asarray,
        "convert_dtypes": RULES[definition.dtype_rule],
        "definition": definition,
        "explain": explain,
        "forward": definition.forward,
        "joint_rule": definition.joint_rule,
        "modes": modes,
        "ndarray": np.ndarray,
        "new": object.__new__,
        "next_sequence": next_sequence,
        "require_array": require_array,
        "require_sequence": require_sequence,
    }
    for name, rule in definition.rules.items():
        space[f"rule_{name}"] = rule
    for name, parameter in definition.parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            space[f"default_{name}"] = parameter.default
    if definition.output_names:
        space["Outputs"] = collections.namedtuple(definition.name, definition.output_names)
    return space


class _Writer:
    """Writes the two functions of one definition."""

    def __init__(self, definition: Definition) -> None:
        self.op = definition
        self.lines: list[str] = []

    # -- call

    def call(self) -> str:
        op = self.op
        self.lines = [f"def call({self._signature()}):"]
        self._unwrap()
        self._convert()
        self._run()
        self._wrap()
        if op.differentiable or (op.sequence and op.sequence in op.rules):
            self._record()
        self._put(
            1, f"return {'Outputs(' + ', '.join(self._results()) + ')' if op.output_names else 'result'}"
        )
        return "\n".join(self.lines)

    def _put(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    def _signature(self) -> str:
        parts = []
        keyword_only = False
        for name, parameter in self.op.parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
                keyword_only = True
                parts.append("*")
            default = "" if parameter.default is parameter.empty else f"=default_{name}"
            parts.append(name + default)
        return ", ".join(parts)

    def _arguments(self, prefix: str) -> str:
        """The forward function's argument list, arrays by their unwrapped names."""
        op = self.op
        arrays = {*op.tensors, *op.steering, op.sequence}
        parts = []
        for name, parameter in op.parameters.items():
            value = f"{prefix}{name}" if name in arrays else name
            parts.append(f"{name}={value}" if parameter.kind is parameter.KEYWORD_ONLY else value)
        return ", ".join(parts)

    def _unwrap(self) -> None:
        op = self.op
        for name in op.tensors + op.steering:
            self._put(1, f"t_{name} = isinstance({name}, Tensor)")
        if op.sequence:
            self._put(1, f"t_{op.sequence} = any([isinstance(each, Tensor) for each in {op.sequence}])")
        flags = [f"t_{name}" for name in [*op.tensors, *op.steering, *([op.sequence] if op.sequence else [])]]
        self._put(1, f"if not ({' or '.join(flags)}):  # on arrays: a derivative rule, or the optimizer")
        if op.sequence:
            self._put(2, f"require_sequence({op.name!r}, {op.sequence!r}, {op.sequence})")
        elif op.tensors and "Scalar" not in str(op.parameters[op.tensors[0]].annotation):
            first = op.tensors[0]
            self._put(2, f"if {first}.__class__ is not ndarray:")
            self._put(3, f"require_array({op.name!r}, {first!r}, {first})")
        plain = f"forward({self._arguments('')})"
        self._put(2, f"return {plain + '[0]' if op.aux and not op.output_names else plain}")
        for name in op.tensors + op.steering:
            self._put(1, f"a_{name} = {name}._array if t_{name} else {name}")
        if op.sequence:
            self._put(1, f"require_sequence({op.name!r}, {op.sequence!r}, {op.sequence})")
            unwrapped = f"[each._array if isinstance(each, Tensor) else each for each in {op.sequence}]"
            self._put(1, f"a_{op.sequence} = given_{op.sequence} = {unwrapped}")

    def _convert(self) -> None:
        op = self.op
        if op.dtype_rule == "keep":
            return
        if op.sequence:
            self._put(1, f"a_{op.sequence} = list(convert_dtypes(*a_{op.sequence}))")
            return
        required = [name for name in op.tensors if "None" not in str(op.parameters[name].annotation)]
        arrays = [f"a_{name}" for name in required]
        joined = ", ".join(arrays)
        assignment = f"{joined}{',' if len(arrays) == 1 else ''} = convert_dtypes({joined})"
        if len(arrays) == 1:
            if op.dtype_rule == "float":
                self._put(1, f"if {arrays[0]}.dtype is not F32 and {arrays[0]}.dtype is not F64:")
                self._put(2, assignment)
            return
        if len(arrays) == 2 and "Scalar" in str(op.parameters[required[1]].annotation):
            a, b = arrays
            ta, tb = (f"t_{name}" for name in required)
            known = f"({a}.dtype is F32 or {a}.dtype is F64)"
            same = f"{a}.dtype is {b}.dtype" + (f" and {known}" if op.dtype_rule == "float" else "")
            weak = f"{ta} and {known} and ({b}.__class__ is float or {b}.__class__ is int)"
            self._put(1, f"if not ({same} if {ta} and {tb} else {weak}):")
            self._put(2, assignment)
            return
        optional = [name for name in op.tensors if name not in required]
        self._put(
            1,
            f"if {' or '.join(f'{arrays[0]}.dtype is not {other}.dtype' for other in arrays[1:]) or 'False'}:",
        )
        self._put(2, assignment)
        for name in optional:
            self._put(1, f"if {name} is not None and a_{name}.dtype is not {arrays[0]}.dtype:")
            self._put(2, f"{arrays[0]}, a_{name} = convert_dtypes({arrays[0]}, a_{name})")

    def _results(self) -> list[str]:
        return [f"result_{name}" for name in self.op.output_names] or ["result"]

    def _outs(self) -> list[str]:
        return [f"out_{name}" for name in self.op.output_names] or ["out"]

    def _run(self) -> None:
        op = self.op
        targets = ", ".join(self._outs() + [f"aux_{name}" for name in op.aux])
        self._put(1, "try:")
        self._put(2, f"{targets} = forward({self._arguments('a_')})")
        self._put(1, "except FAULTS as fault:")
        shown = ", ".join(
            f"a_{n}" if n in (*op.tensors, *op.steering, op.sequence) else n for n in op.parameters
        )
        self._put(2, f"raise explain(fault, {op.name!r}, ({shown},)) from fault")
        for out in self._outs():
            self._put(1, f"if {out}.__class__ is not ndarray:")
            self._put(2, f"{out} = asarray({out})  # NumPy returns scalars for 0-d results")

    def _wrap(self) -> None:
        op = self.op
        for result, out in zip(self._results(), self._outs(), strict=True):
            self._put(1, f"{result} = new(Tensor)")
            self._put(1, f"{result}._array = {out}")
            if op.view:
                first = op.tensors[0]
                self._put(1, f"{result}._counter = {first}._counter")
                self._put(1, f"{result}._base = {first} if {first}._base is None else {first}._base")
            else:
                self._put(1, f"{result}._counter = [0]")

    # -- recording

    def _record(self) -> None:
        op = self.op
        self._put(1, "if modes.grad:")
        if op.sequence:
            each = f"each in {op.sequence}"
            self._put(2, f"edges = tuple([each._edge if isinstance(each, Tensor) else None for {each}])")
            self._put(2, "if any(edges):")
            shapes = f"tuple([(each.shape, each.dtype) for each in given_{op.sequence}])"
            self._node(3, "edges", shapes, set())
            return
        names = op.differentiable
        for name in names:
            self._put(2, f"e_{name} = {name}._edge if t_{name} else None")
        wanted = " or ".join(f"e_{name} is not None" for name in names)
        outs = self._outs()[0]
        cast = op.name in ("to_dtype",)
        self._put(2, f"if {f'({wanted}) and {outs}.dtype in FLOATING' if cast else wanted}:")
        if op.joint_rule or len(names) > 2:
            self._branch(3, set(), names)
        elif len(names) == 1:
            self._branch(3, set(names), names)
        else:
            first, second = names
            self._put(3, f"if e_{second} is None:")
            self._branch(4, {first}, names)
            self._put(3, f"elif e_{first} is None:")
            self._branch(4, {second}, names)
            self._put(3, "else:")
            self._branch(4, {first, second}, names)

    def _branch(self, depth: int, certain: set[str], names: list[str]) -> None:
        edges = "".join(f"e_{name}, " for name in names)
        metas = []
        for name in names:
            meta = f"({name}._array.shape, {name}._array.dtype)"
            if name in certain:
                metas.append(meta)
            elif certain:
                metas.append("None")
            else:
                metas.append(f"({meta} if e_{name} is not None else None)")
        self._node(depth, f"({edges})", f"({', '.join(metas)},)", certain)

    def _node(self, depth: int, edges: str, metas: str, certain: set[str]) -> None:
        saved, counters, stamp = self._saved(certain)
        self._put(depth, "node = new(Node)")
        self._put(depth, "node.definition = definition")
        self._put(depth, f"node.edges = {edges}")
        self._put(depth, f"node.metas = {metas}")
        self._put(depth, f"node.saved = {saved}")
        self._put(depth, f"node.counters = {counters}")
        self._put(depth, f"node.stamp = {stamp}")
        self._put(depth, "node.hooks = None")
        self._put(depth, "node.sequence = next_sequence()")
        for number, (result, out) in enumerate(zip(self._results(), self._outs(), strict=True)):
            if len(self._outs()) > 1:
                self._put(depth, f"if {out}.dtype in FLOATING:")
                self._put(depth + 1, f"{result}._edge = (node, {number})")
            else:
                self._put(depth, f"{result}._edge = (node, {number})")

    def _saved(self, certain: set[str]) -> tuple[str, str, str]:
        """The kept values, their version counters and the sum of these, for the inputs that need a gradient."""
        op = self.op
        used = set(op.kept)
        if certain and not op.joint_rule:
            used = {name for wanted in certain for name in _rule_parameters(op.rules[wanted])}
        saved: list[str] = []
        sure: list[str] = []
        unsure: list[str] = []
        for name in op.kept:
            if name not in used:
                saved.append("None")
            elif name in op.tensors:
                saved.append(f"a_{name}")
                (sure if name in certain else unsure).append(name)
            elif name in op.steering or name == op.sequence:
                saved.append(f"a_{name}")
            elif name.endswith("_meta") and name[:-5] == op.sequence:
                saved.append(f"[Meta(each.shape, each.dtype) for each in a_{op.sequence}]")
            elif name.endswith("_meta"):
                saved.append(f"Meta(a_{name[:-5]}.shape, a_{name[:-5]}.dtype)")
            elif name == "out" or name in op.output_names:
                saved.append("out" if name == "out" else f"out_{name}")
                sure.append(self._results()[0] if name == "out" else f"result_{name}")
            elif name in op.aux:
                saved.append(f"aux_{name}")
            elif name in op.parameters:
                saved.append(name)
            else:
                raise TypeError(
                    f"{op.name}: a rule asks for {name!r}, which is neither an input, an output nor aux"
                )
        counters = "(" + "".join(f"{name}._counter, " for name in sure) + ")"
        counters += "".join(f" + (({name}._counter,) if t_{name} else ())" for name in unsure)
        parts = [f"{name}._counter[0]" for name in sure]
        parts += [f"({name}._counter[0] if t_{name} else 0)" for name in unsure]
        return f"({''.join(f'{value}, ' for value in saved)})", counters, " + ".join(parts) or "0"

    # -- backward

    def backward(self) -> str:
        op = self.op
        gradients = [f"g_{name}" for name in op.output_names] or ["g"]
        lines = [f"def backward(edges, saved, {', '.join(gradients)}, into):"]
        if op.kept:
            lines.append(f"    {', '.join(f'k_{name}' for name in op.kept)}, = saved")
        if op.joint_rule:
            lines.append("    needs = tuple([edge is not None for edge in edges])")
            lines.append(f"    return joint_rule({self._rule_arguments(op.joint_rule)})")
        elif op.sequence:
            rule = op.rules.get(op.sequence)
            lines.append(
                f"    return rule_{op.sequence}({self._rule_arguments(rule)})" if rule else "    return ()"
            )
        else:
            results = [
                f"rule_{name}({self._rule_arguments(op.rules[name])}) if edges[{number}] is not None else None, "
                for number, name in enumerate(op.differentiable)
            ]
            lines.append(f"    return ({''.join(results)})")
        return "\n".join(lines)

    def _rule_arguments(self, rule: Callable[..., Any]) -> str:
        op = self.op
        return ", ".join(
            name if _is_gradient_name(op, name) or name in _ENGINE_SUPPLIED else f"k_{name}"
            for name in _rule_parameters(rule)
        )
