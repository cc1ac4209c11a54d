"""An operation that users define: kernels by device, a form for tensors without data, and a backward formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distrt.core.autograd.function import Function
from distrt.core.errors import AutogradError
from distrt.core.modes import modes, no_grad
from distrt.core.named_ops import OpOverloadPacket, namespace
from distrt.core.schemas import Argument, Schema
from distrt.core.tensor import Tensor
from distrt.core.tensors.versions import note_change

#: PyTorch's names of where a kernel belongs: the device, or "" for every device.
DEVICES = {
    **dict.fromkeys(("", "default", "CompositeExplicitAutograd"), ""),
    "CPU": "cpu",
    "CUDA": "cuda",
    "Meta": "meta",
}
IMPLICIT = ("CompositeImplicitAutograd", "Autograd", "AutogradCPU", "AutogradCUDA")


class Operation:
    """One operation, callable with its schema's arguments.

    Attributes:
        kernels: functions by device type, "" for every device.
        implicit: a function that is recorded as what it is made of.
        fake: what gives results without data.
        backward: ``backward(ctx, *gradients)``: one gradient, or None, for each argument.
        setup_context: ``setup_context(ctx, inputs, output)``.
        refuses_aliases: whether a kernel may not give an argument's memory back.
    """

    def __init__(self, space: str, name: str, schema: Schema, refuses_aliases: bool = False) -> None:
        self.qualified_name = f"{space}::{name}"
        self.schema = schema
        self.refuses_aliases = refuses_aliases
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.implicit: Callable[..., Any] | None = None
        self.fake: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None
        self.setup_context: Callable[..., Any] | None = None
        self._recorded: dict[tuple[int | None, ...], Any] = {}
        self.packet = OpOverloadPacket(space, name, self)
        self.packet.default._schema = schema
        operations[self.qualified_name] = self
        setattr(namespace(space), name, self.packet)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation; records it where an argument needs a gradient."""
        values = self.schema.bound(args, kwargs)
        if self.implicit is not None:
            return self._call(self.implicit, values)
        flat = self._flat(values)
        if modes.grad and any(isinstance(each, Tensor) and each.requires_grad for each in flat):
            result = self._node(values).apply(*flat)
            return result if not _is_list(self.schema.returns) else list(result)
        return self.run(values)

    def run(self, values: list[Any]) -> Any:
        """The kernel's result, or that of what the operation is made of, without a graph."""
        tensors = [each for each in self._flat(values) if isinstance(each, Tensor)]
        kinds = [each.device.type for each in tensors]
        kind = next((each for each in ("meta", "cuda") if each in kinds), "cpu")  # numbers may lie on the CPU
        every = self.fake if kind == "meta" else self.kernels.get("")
        kernel = self.implicit or self.kernels.get(kind) or every
        if kernel is None:
            raise self._missing(kind)
        with no_grad():
            result = self._call(kernel, [_outside(each) for each in values])
        self._note_changes(values)
        if self.refuses_aliases and kind != "meta":
            self._refuse_aliases(result, tensors)
        return result

    def _note_changes(self, values: list[Any]) -> None:
        """Counts a change of what is changed in place, which a kernel may do where nobody sees it, by NumPy."""
        for argument, value in _pairs(self, values):
            if argument.is_mutated:
                for each in value if isinstance(value, list) else [value]:
                    if isinstance(each, Tensor):
                        note_change(each._counter)

    def _call(self, kernel: Callable[..., Any], values: list[Any]) -> Any:
        pairs = list(zip(self.schema.arguments, values, strict=True))
        return kernel(
            *[value for each, value in pairs if not each.is_keyword_only],
            **{each.name: value for each, value in pairs if each.is_keyword_only},
        )

    def _missing(self, kind: str) -> Exception:
        short = self.qualified_name.rpartition(":")[2]
        if kind == "meta" and self.kernels:
            return RuntimeError(
                f"There was no fake impl registered for {self.qualified_name}. This is necessary for tensors without "
                f"data. Please use `{short}.register_fake` to add an fake impl."
            )
        return NotImplementedError(
            f"Could not run '{self.qualified_name}' with arguments from the '{kind.upper()}' backend: "
            f"it has kernels for {sorted(each or 'every device' for each in self.kernels) or 'no device'}"
        )

    def _refuse_aliases(self, result: Any, tensors: list[Tensor]) -> None:
        given = {each.untyped_storage().data_ptr() for each in tensors if each.numel()}
        for each in result if isinstance(result, tuple | list) else [result]:
            if isinstance(each, Tensor) and each.numel():
                place = each.untyped_storage().data_ptr()
                if place in given:
                    raise RuntimeError(f"{self.qualified_name}: {_ALIASED}")
                given.add(place)

    # -- recording

    def _flat(self, values: list[Any]) -> list[Any]:
        """The arguments, lists of tensors spread out."""
        found: list[Any] = []
        for each, value in zip(self.schema.arguments, values, strict=True):
            found.extend(value if each.is_list and value is not None else [value])
        return found

    def _node(self, values: list[Any]) -> Any:
        """The ``Function`` for calls with lists of these lengths."""
        lengths = tuple(
            len(value) if each.is_list and value is not None else None
            for each, value in zip(self.schema.arguments, values, strict=True)
        )
        if lengths not in self._recorded:
            name = f"GeneratedBackwardFor_{self.qualified_name.replace('::', '_')}_default"
            self._recorded[lengths] = type(name, (_Recorded,), {"operation": self, "lengths": lengths})
        return self._recorded[lengths]


class _Recorded(Function):
    """A call of an operation in the graph."""

    operation: Operation
    lengths: tuple[int | None, ...]

    @classmethod
    def _nested(cls, flat: tuple[Any, ...]) -> list[Any]:
        values, place = [], 0
        for length in cls.lengths:
            values.append(flat[place] if length is None else list(flat[place : place + length]))
            place += 1 if length is None else length
        return values

    @classmethod
    def forward(cls, ctx: Any, *flat: Any) -> Any:
        """Runs the kernel, and has the user's function keep what backward needs."""
        operation, values = cls.operation, cls._nested(flat)
        result = operation.run(values)
        if operation.setup_context is not None:
            positional = tuple(each for a, each in _pairs(operation, values) if not a.is_keyword_only)
            named = {a.name: each for a, each in _pairs(operation, values) if a.is_keyword_only}
            extra = {"keyword_only_inputs": named} if named else {}
            operation.setup_context(ctx, inputs=positional, output=result, **extra)
        return tuple(result) if isinstance(result, list) else result

    @classmethod
    def backward(cls, ctx: Any, *gradients: Any) -> Any:
        """The user's formula, its lists spread out."""
        operation = cls.operation
        if operation.backward is None:
            raise AutogradError(
                f"Trying to backward through {operation.packet.default} but no autograd formula was registered. Please "
                "use register_autograd to add one."
            )
        given = [list(gradients)] if _is_list(operation.schema.returns) else gradients
        made = operation.backward(ctx, *given)
        return cls._flat_gradients(made if isinstance(made, tuple) else (made,))

    @classmethod
    def _flat_gradients(cls, made: tuple[Any, ...]) -> tuple[Any, ...]:
        """A user's gradients of the positional arguments, lists spread out; their number is looked at by the node."""
        lengths = list(zip(cls.operation.schema.arguments, cls.lengths, strict=True))
        places = [length for each, length in lengths if not each.is_keyword_only]
        found: list[Any] = []
        for length, each in zip(places, made, strict=False):
            if length is not None and not (
                each is None or (isinstance(each, list | tuple) and len(each) == length)
            ):
                raise AutogradError(
                    "Expected the return from backward to be of the same structure as the inputs: a list of "
                    f"{length} gradients, got {type(each).__name__}"
                    + (f" of {len(each)}" if isinstance(each, list | tuple) else "")
                )
            found.extend([each] if length is None else each or [None] * length)
        if len(made) >= len(places):
            named = [length for each, length in lengths if each.is_keyword_only]
            found.extend([None] * sum(1 if length is None else length for length in named))
        return (*found, *made[len(places) :])


_ALIASED = (
    "The output of this custom operator (1) must not also be an input to this custom operator and (2) may not alias "
    "any inputs to this custom operator or other returns. The most common way to trigger this error is if we have y = "
    "custom_op(x) and y and x are the same Tensor. Please instead return a clone of the offending output tensor(s) "
    "(e.g. return x.clone())"
)


def _outside(value: Any) -> Any:
    """An argument outside the graph: what kernels get."""
    if isinstance(value, list | tuple):
        return type(value)(map(_outside, value))
    return value.detach() if isinstance(value, Tensor) and value.requires_grad else value


def _pairs(operation: Operation, values: list[Any]) -> list[tuple[Argument, Any]]:
    return list(zip(operation.schema.arguments, values, strict=True))


def _is_list(returns: str) -> bool:
    return returns.endswith("[]")


#: Every operation that was defined, by its whole name.
operations: dict[str, Operation] = {}
