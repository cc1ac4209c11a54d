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
* ``NAME_strides``: how it lies in memory;
* ``out``, or a name given to ``.outputs(...)``;     an ``aux`` name: an extra result of forward that is not returned;
* a plain parameter's name: its value;               ``g`` (``g_NAME`` with several outputs): the gradient, or None.
"""

from __future__ import annotations

import inspect
import linecache
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from distrt.core import autocast as casting
from distrt.core import gpu
from distrt.core.arrays import (
    FAULTS,
    as_array,
    bool_in,
    explain,
    no_argument,
    no_tensor,
    number_in,
    require_array,
    require_numbers,
    require_sequence,
)
from distrt.core.autograd.node import AccumulateGrad, Node, next_sequence
from distrt.core.definitions.backward import backward_source, kept_names
from distrt.core.definitions.out import require_tensor_beside_out, write_out
from distrt.core.definitions.source import Writer
from distrt.core.dtypes import dtype as dt
from distrt.core.dtypes.promotion import RULES
from distrt.core.layouts import are_inside, is_seen, settle
from distrt.core.modes import modes, used
from distrt.core.overriding.doors import behind, is_first_sight, is_first_sight_of_method
from distrt.core.sparse.array import LayoutFault
from distrt.core.sparse.forms import sparse_form
from distrt.core.tensor import Tensor
from distrt.core.tensors.return_types import return_type
from distrt.core.tensors.versions import INFERENCE, forget_dead_views

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
    node: Callable[[Callable[[Any], str]], None]
    composite: Callable[..., Any] | None
    overwriting: Callable[..., Any] | None
    needs_of_gradients: dict[str, tuple[str, ...]] | None
    __name__: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation."""


#: Every op by name, for the op table of the tests and for the documentation.
REGISTRY: dict[str, OpFunction] = {}


class _Kernels:
    """How forward functions are run: as they are, until somebody watches them."""

    @staticmethod
    def asking(name: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        return forward


def watch_kernels(asking: Callable[[str, Callable[..., Any]], Callable[..., Any]]) -> None:
    """From now on, forward functions run as ``asking(name, forward)`` makes them (``core/overriding/kernels.py``)."""
    if _Kernels.asking is not asking:
        _Kernels.asking = staticmethod(asking)  # type: ignore[assignment]
        for each in list(REGISTRY.values()):  # other threads import operations
            space = each.definition._namespace
            if "forward" in space:
                space["forward"] = asking(each.definition.name, each.definition.forward)


def op(
    *,
    dtype: str = "keep",
    autocast: str = "none",
    aux: tuple[str, ...] = (),
    view: bool = False,
    node: str = "",
    holomorphic: bool = True,
    layouts: str = "",
    numbers: bool = False,
) -> Callable[[Callable[..., Any]], OpFunction]:
    """Defines an operation.

    Args:
        dtype: "promote" (PyTorch's promotion), "float" (the same, integers become float32), "same" (must be equal
            already), "keep" (every dtype as it comes), or one of an operation's own in ``promotion.RULES``.
        autocast: what a mixed-precision region does to the inputs: "lower", "full", "widest" or "none".
        aux: names of extra results of forward, kept for the rules and not returned.
        view: the result shares memory with the first input.
        node: PyTorch's name of the node, where it is not the op's own name; with a number at its end where it is not 0.
        holomorphic: the rules are written as for real numbers, and the engine conjugates around them where the
            numbers are complex; False for ops such as ``abs``, whose rules say themselves what happens there.
        layouts: "follows" where the forward function takes images and volumes in any order of dims in memory, and gives
            the result in that of the input; "chooses" where it gives the result in whichever order it likes
            (``core/layouts.py``). An operation that says nothing gets its inputs as users see them.
        numbers: a user may give two numbers, ``add(2, 3)``, which count as 0-d tensors.
    """

    def define(forward: Callable[..., Any]) -> OpFunction:
        definition = Definition(forward, dtype, autocast, aux, view, node, holomorphic, layouts, numbers)
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
        holomorphic: bool = True,
        layouts: str = "",
        numbers: bool = False,
    ) -> None:
        self.forward = forward
        self.name = forward.__name__.rstrip("_")
        self.dtype_rule = dtype
        self.autocast = autocast
        self.aux = aux
        self.view = view
        self.holomorphic = holomorphic
        self.layouts = layouts
        self.takes_numbers = numbers
        self.node_name = node_name(node, self.name)
        self.name_of: Callable[[Any], str] | None = None
        self.shown: Callable[[Node], Sequence[int]] | None = None  # the edges that users see: ``Node.shown``
        self.node_class: type[Node] = Node  # one of its own, for its name, when the operation is compiled
        self.output_names: tuple[str, ...] = ()
        self.rules: dict[str, Callable[..., Any]] = {}
        self.joint_rule: Callable[..., Any] | None = None
        self.takes_into = False
        self.delivers_last_first = (
            False  # which leaf among an operation's gets its gradient first, hooks can tell
        )
        self.signature = inspect.signature(forward)
        self.parameters = dict(self.signature.parameters)
        self.sequence = next((name for name, p in self.parameters.items() if _is(p, "Sequence[Array]")), None)
        self.tensors = [name for name, p in self.parameters.items() if _is(p, "Array")]
        self.steering = [name for name, p in self.parameters.items() if _is(p, "IndexArray")]
        self.takes_out = not view and not forward.__name__.startswith("_") and "out" not in self.parameters
        self.kept: list[str] = []
        self.keeps_arrays = False  # so that a second pass is refused, even where a number stood for a tensor
        self.backward: Callable[..., Any] | None = None
        self._handed_out: list[Any] = []  # the users' forms
        self._methods: list[Any] = []  # the forms that are methods
        self._overwriting: Any = None
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

    def node(self, name_of: Callable[[Any], str]) -> None:
        """Says what PyTorch calls a node, where that depends on what the operation was given."""
        self.name_of = name_of

    # -- the function that users call

    def _make_function(self) -> Any:
        self._namespace: dict[str, Any] = {"__name__": self.forward.__module__, "definition": self}
        function: Any = types.FunctionType(_stub.__code__, self._namespace, self.name)
        function.__doc__ = self.forward.__doc__
        function.__module__ = self.forward.__module__
        function.__qualname__ = self.name
        function.__annotations__ = self.forward.__annotations__
        function.__signature__ = self.signature
        for verb in ("gradient", "gradients", "outputs", "node"):
            setattr(function, verb, getattr(self, verb))
        function.definition = self
        function.composite = None
        function.overwriting = None
        function.needs_of_gradients = None
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
        self.node_class = type(self.node_name, (Node,), {"__slots__": ()})
        source = self.source()
        self.keeps_arrays = any(name in (*self.aux, *self.steering, *self.tensors) for name in self.kept)
        self._namespace.update(_namespace(self))
        made = self._put_in_place([self.function, *self._methods], source, f"<op {self.name}>")
        self.backward = backward = made["backward"]
        return backward  # type: ignore[no-any-return]

    def for_users(self) -> Any:
        """The function as ``distrt.NAME``: the same code, but arrays alone are no tensors, nor numbers in most places.

        The rules' own form computes on arrays; a user who passes one has forgotten to make it a tensor. Like that form,
        this one is written at its first call.
        """
        function = types.FunctionType(_users_stub.__code__, self._namespace, self.name)
        for name in ("__doc__", "__annotations__", "__signature__", "definition", "composite"):
            setattr(function, name, getattr(self.function, name))
        self._handed_out.append(function)
        return function

    def for_methods(self) -> Any:
        """The function as a method of ``Tensor``: the very code, as an object of its own, which users may take over."""
        function = types.FunctionType(_stub.__code__, self._namespace, self.name)
        for name in ("__doc__", "__annotations__", "__signature__", "definition", "composite"):
            setattr(function, name, getattr(self.function, name))
        function.__module__, function.__qualname__ = self.forward.__module__, f"Tensor.{self.name}"
        self._methods.append(function)
        return function

    def first_users_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The same for the users' form, which may go by several names."""
        if self.backward is None:
            self.compile()
        source = Writer(self).call(strict=True) + "\n"
        self._put_in_place(self._handed_out, source, f"<op distrt.{self.name}>")
        return behind(self._handed_out[0])(*args, **kwargs)

    def overwriting_form(self) -> Any:
        """The function whose result lies on a GPU where its first input did; None where there is none.

        Nor is there one while forward functions are watched: what they are given shall stay as it is.
        """
        if (
            self.function.overwriting is None
            or self._namespace.get("forward", self.forward) is not self.forward
        ):
            return None
        if self._overwriting is None:
            if self.backward is None:
                self.compile()
            call: Any = self.function
            space = {**self._namespace, "forward": call.overwriting}
            self._overwriting = types.FunctionType(call.__code__, space, self.name, call.__defaults__)
            self._overwriting.__kwdefaults__ = call.__kwdefaults__
        return self._overwriting

    def again(self, values: dict[str, Any], is_method: bool) -> Any:
        """Repeats a call of a user's that has failed, by what it was given for each parameter."""
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        is_left_out = False
        for name, value in values.items():
            parameter = self.parameters[name]
            if value is parameter.default:
                is_left_out = True
            elif is_left_out or parameter.kind is parameter.KEYWORD_ONLY:
                kwargs[name] = value
            else:
                args.append(value)
        return (self._methods if is_method else self._handed_out)[0](*args, **kwargs)

    def _put_in_place(self, stubs: list[Any], source: str, filename: str) -> dict[str, Any]:
        """Compiles what was written, gives the stubs the code of ``call``, and returns the functions made."""
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        made: dict[str, Any] = {}
        exec(compile(source, filename, "exec"), self._namespace, made)
        call = made["call"]
        for each in stubs:
            stub = behind(each)
            stub.__defaults__, stub.__kwdefaults__ = call.__defaults__, call.__kwdefaults__
            stub.__code__ = call.__code__.replace(co_name=self.name)
        return made

    def source(self) -> str:
        """The source of the call function and of the backward function."""
        self.kept = kept_names(self)
        return Writer(self).call() + "\n\n\n" + backward_source(self) + "\n"


def node_name(given: str, operation: str) -> str:
    """``MulBackward0``; ``Sum1`` becomes ``SumBackward1``; a name that is given as a whole (``CopySlices``) stays."""
    if given.endswith(("Backwards", "Slices")):
        return given
    if given[-1:].isdigit():
        return f"{given[:-1]}Backward{given[-1]}"
    return (given or "".join(part.title() for part in operation.strip("_").split("_"))) + "Backward0"


def _stub(*args: Any, **kwargs: Any) -> Any:
    return definition.first_call(args, kwargs)  # type: ignore[name-defined]  # noqa: F821 - in the op's own namespace


def _users_stub(*args: Any, **kwargs: Any) -> Any:
    return definition.first_users_call(args, kwargs)  # type: ignore[name-defined]  # noqa: F821 - as above


def _is(parameter: inspect.Parameter, kind: str) -> bool:
    annotation = str(parameter.annotation)
    return annotation == kind or annotation.startswith(kind + " |")


def _namespace(definition: Definition) -> dict[str, Any]:
    space: dict[str, Any] = {
        "AccumulateGrad": AccumulateGrad,
        "FAULTS": FAULTS,
        "FLOATING": dt.FLOATING_NUMPY,
        "F32": dt.float32.numpy,
        "F64": dt.float64.numpy,
        "INFERENCE": INFERENCE,
        "MISSING": inspect.Parameter.empty,
        "LayoutFault": LayoutFault,
        "Meta": Meta,
        "Node": definition.node_class,
        "Tensor": Tensor,
        "are_inside": are_inside,
        "convert_dtypes": RULES[definition.dtype_rule],
        "definition": definition,
        "explain": explain,
        "forget_dead_views": forget_dead_views,
        "forward": _Kernels.asking(definition.name, definition.forward),
        "is_first_sight": is_first_sight,
        "is_first_sight_of_method": is_first_sight_of_method,
        "is_seen": is_seen,
        "settle": settle,
        "sparse_form": sparse_form,
        "joint_rule": definition.joint_rule,
        "lowered": casting.lowered,
        "raised": casting.raised,
        "widened": casting.widened,
        "modes": modes,
        "ndarray": np.ndarray,
        "new": object.__new__,
        "no_argument": no_argument,
        "no_tensor": no_tensor,
        "next_sequence": next_sequence,
        "bool_in": bool_in,
        "number_in": number_in,
        "ref": weakref.ref,
        "require_array": require_array,
        "gpu": gpu,
        "require_numbers": require_numbers,
        "as_array": as_array,
        "require_sequence": require_sequence,
        "used": used,
        "require_tensor_beside_out": require_tensor_beside_out,
        "write_out": write_out,
    }
    for name, rule in definition.rules.items():
        space[f"rule_{name}"] = rule
    for name, parameter in definition.parameters.items():
        if parameter.default is not inspect.Parameter.empty:
            space[f"default_{name}"] = parameter.default
    if definition.output_names:
        space["Outputs"] = return_type(
            definition.name.strip("_").removesuffix("_dim"), definition.output_names
        )
    return space
