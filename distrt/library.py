"""``torch.library``: operations of one's own, by a decorator (`custom_op`) or by their signatures (`Library`)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from distrt.core import custom_ops
from distrt.core.custom_ops import DEVICES, IMPLICIT, Operation
from distrt.core.named_ops import OpOverload, OpOverloadPacket
from distrt.core.schemas import infer_schema, parsed
from distrt.core.tensor import Tensor
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "impl",
    "infer_schema",
    "opcheck",
    "register_autograd",
    "register_fake",
    "register_kernel",
]

_PUBLIC_DEVICES = {"cpu": "cpu", "cuda": "cuda", "meta": "meta"}


class CustomOpDef:
    """What `custom_op` makes of a function: call it, and add to it with its ``register_`` methods."""

    def __init__(self, operation: Operation, function: Callable[..., Any]) -> None:
        self._operation, self._init_fn = operation, function
        self._qualname = operation.qualified_name
        self._opoverload = operation.packet.default
        functools.update_wrapper(self, function, updated=())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the operation; classes and modes may take it over."""
        return self._opoverload(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """``fn`` gives results of the right sizes for tensors without data; a decorator."""
        self._operation.fake = fn
        return fn

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """Gives the backward formula.

        Args:
            backward: ``backward(ctx, *gradients)`` returns one gradient, or None, for each argument.
            setup_context: ``setup_context(ctx, inputs, output)`` keeps what that needs.
        """
        _refuse_changes(self._operation, self)
        self._operation.backward, self._operation.setup_context = backward, setup_context

    def register_kernel(
        self, device_types: str | Sequence[str] | None, fn: Callable[..., Any] | None = None, /
    ) -> Callable[..., Any]:
        """Gives what computes on devices of these types, None for all; a decorator without ``fn``."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            for kind in _device_types(device_types):
                self._operation.kernels[kind] = function
            return function

        return register if fn is None else register(fn)


def _device_types(given: str | Sequence[str] | None) -> list[str]:
    return [""] if given is None else [given] if isinstance(given, str) else list(given)


def _refuse_changes(operation: Operation, shown: Any) -> None:
    if any(each.is_mutated for each in operation.schema.arguments):
        raise RuntimeError(
            f"Cannot register autograd formula for non-functional operator {shown} with schema "
            f"{operation.schema}. Please create a functional operator and register an autograd formula for that."
        )


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Iterable[str],
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Any = None,
) -> Any:
    """Makes an operation of a function: it is one node of the graph, whatever it calls; a decorator without ``fn``.

    Args:
        name: ``"namespace::name"``; it is found as ``torch.ops.namespace.name``.
        fn: the function, with annotations.
        mutates_args: the parameters that it changes in place.
        device_types: where it computes: "cpu", "cuda", or both; None for everywhere.
        schema: its signature, without a name, where annotations do not say it.
        tags: accepted.

    Raises:
        ValueError: for a name without a namespace, or a function without annotations.
    """

    def make(function: Callable[..., Any]) -> CustomOpDef:
        space, short = _split(name)
        signature = schema if schema is not None else infer_schema(function, mutates_args=mutates_args)
        operation = Operation(space, short, parsed(f"{name}{signature}"), refuses_aliases=True)
        made = CustomOpDef(operation, function)
        made.register_kernel(device_types, function)
        return made

    return make if fn is None else make(fn)


def _split(name: str) -> tuple[str, str]:
    space, colons, short = name.partition("::")
    if not (colons and space and short) or "::" in short:
        raise ValueError(f"Expected `name` to be of the form `namespace::name`, but got {name!r}")
    return space, short


class Library:
    """Operations of one namespace, by their signatures.

    Args:
        ns: the namespace.
        kind: "DEF" or "FRAGMENT" to define operations, "IMPL" to add to those of others.
        dispatch_key: where `impl` puts kernels when it is not told.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError("Unsupported library kind: ", kind)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def __repr__(self) -> str:
        return f"Library(kind={self.kind}, ns={self.ns}, dispatch_key={self.dispatch_key})>"

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Defines an operation, ``"name(Tensor x) -> Tensor"``; returns its name.

        Raises:
            RuntimeError: where there is one of that name.
        """
        found = parsed(schema)
        short = found.name.rpartition("::")[2]
        found.name = f"{self.ns}::{short}"
        if found.name in custom_ops.operations:
            raise RuntimeError(
                f"Tried to register an operator ({found}) with the same name and overload name multiple times."
            )
        Operation(self.ns, short, found)
        return short

    def impl(
        self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False
    ) -> None:
        """Gives an operation what computes it: on "CPU", on "CUDA", or with "CompositeImplicitAutograd" by parts."""
        name = op_name.name() if isinstance(op_name, OpOverload) else str(op_name)
        operation = _operation(name if "::" in name else f"{self.ns}::{name}")
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        _put(operation, fn, key)


def _put(operation: Operation, function: Callable[..., Any], key: str) -> None:
    if key in IMPLICIT:
        operation.implicit = function
    elif key in DEVICES or key in _PUBLIC_DEVICES:
        operation.kernels[DEVICES.get(key, key)] = function
    else:
        raise RuntimeError(
            f"{operation.qualified_name}: a kernel for {key!r}; expected {[*DEVICES, *IMPLICIT]}"
        )


def _operation(op: Any) -> Operation:
    if isinstance(op, CustomOpDef):
        return op._operation
    if isinstance(op, OpOverload):
        op = op.overloadpacket
    name = f"{op.namespace}::{op.__name__}" if isinstance(op, OpOverloadPacket) else str(op)
    if name not in custom_ops.operations:
        raise RuntimeError(
            f"operator {name} does not exist: define it first, with torch.library.define or custom_op"
        )
    return custom_ops.operations[name]


def define(qualname: str | Library, schema: str, *, lib: Library | None = None, tags: Any = ()) -> Any:
    """Defines an operation: ``define("mine::double", "(Tensor x) -> Tensor")``.

    The older form, ``@define(library, "double(Tensor x) -> Tensor")``, is a decorator of what it is made of.
    """
    if isinstance(qualname, Library):
        library = qualname

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            library.impl(library.define(schema, tags=tags), function)
            return function

        return register
    space, short = _split(qualname)
    (lib or Library(space, "FRAGMENT")).define(f"{short}{schema}", tags=tags)
    return None


def impl(qualname: Any, types: Any, func: Any = None, *, lib: Library | None = None) -> Any:
    """Gives an operation what computes it on devices ("cpu", "cuda", "default"); a decorator without ``func``.

    The older form is ``@impl(library, name, dispatch_key)``.
    """
    if isinstance(qualname, Library):
        return functools.partial(_put_by_key, qualname, types, func or "")

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in (types,) if isinstance(types, str) else types:
            _put(_operation(qualname), function, key)
        return function

    return register if func is None else register(func)


def _put_by_key(
    library: Library, name: str, dispatch_key: str, function: Callable[..., Any]
) -> Callable[..., Any]:
    library.impl(name, function, dispatch_key)
    return function


def register_fake(
    op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None, **options: Any
) -> Any:
    """Gives an operation a form for tensors without data; a decorator without ``func``."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        _operation(op).fake = function
        return function

    return register if func is None else register(func)


def register_kernel(
    op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None
) -> Any:
    """Gives an operation what computes it on devices of these types; a decorator without ``func``."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        for kind in _device_types(device_types):
            _operation(op).kernels[kind] = function
        return function

    return register if func is None else register(func)


def register_autograd(
    op: Any,
    backward: Callable[..., Any],
    /,
    *,
    setup_context: Callable[..., Any] | None = None,
    lib: Any = None,
) -> None:
    """Gives an operation its backward formula, as ``CustomOpDef.register_autograd``."""
    operation = _operation(op)
    _refuse_changes(operation, operation.qualified_name)
    operation.backward, operation.setup_context = backward, setup_context


class OpCheckError(Exception):
    """An operation that does not keep to what it says of itself."""


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: str | Sequence[str] = ("test_schema", "test_autograd_registration", "test_faketensor"),
    raise_exception: bool = True,
    **tolerances: Any,
) -> dict[str, Any]:
    """Holds an operation to its signature, its gradient and its form without data, for one call.

    Raises:
        OpCheckError: where one fails and ``raise_exception`` is True.
        ValueError: for a check of another name.
    """
    operation = _operation(op)
    checks = {
        "test_schema": _check_schema,
        "test_autograd_registration": _check_autograd,
        "test_faketensor": _check_fake,
    }
    found: dict[str, Any] = {}
    wanted = (test_utils,) if isinstance(test_utils, str) else tuple(test_utils)
    if not set(wanted) <= set(checks):
        raise ValueError(
            f"opcheck(op, ..., test_utils={wanted}), expected test_utils to be subset of {tuple(checks)} but it was not"
        )
    for name in wanted:
        try:
            checks[name](operation, operation.schema.bound(args, kwargs or {}))
            found[name] = "SUCCESS"
        except Exception as fault:
            if raise_exception:
                raise OpCheckError(f"opcheck(op, ...): {name} failed with {fault}") from fault
            found[name] = fault
    return found


def _copied(value: Any, convert: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(_copied(each, convert) for each in value)
    return convert(value) if isinstance(value, Tensor) else value


def _check_schema(operation: Operation, values: list[Any]) -> None:
    given = _copied(values, lambda each: each.detach().clone())
    before = _copied(given, lambda each: each.clone())
    operation.run(given)
    for argument, mine, old in zip(operation.schema.arguments, given, before, strict=True):
        pairs = zip(mine, old, strict=True) if argument.is_list and mine is not None else [(mine, old)]
        if not argument.is_mutated and any(isinstance(a, Tensor) and not _is_same(a, b) for a, b in pairs):
            raise RuntimeError(
                f"Argument {argument.name} is not defined as mutable but was mutated: {operation.schema}"
            )


def _is_same(one: Tensor, other: Tensor) -> bool:
    """Whether all elements are equal; NaN is equal to NaN."""
    if one.shape != other.shape:
        return False
    return bool((one.eq(other) | (one.isnan() & other.isnan())).all())


def _check_autograd(operation: Operation, values: list[Any]) -> None:
    wanted = [each for each in operation._flat(values) if isinstance(each, Tensor) and each.requires_grad]
    if wanted and operation.implicit is None and operation.backward is None:
        raise RuntimeError(
            f"{operation.qualified_name} has inputs that require grad, and no autograd formula"
        )


def _check_fake(operation: Operation, values: list[Any]) -> None:
    real = operation.run(_copied(values, lambda each: each.detach().clone()))
    fake = operation.run(_copied(values, lambda each: each.detach().to("meta")))
    for mine, other in zip(_listed(real), _listed(fake), strict=True):
        if isinstance(mine, Tensor) and (mine.shape, mine.dtype) != (other.shape, other.dtype):
            raise RuntimeError(
                f"the fake form gives {other.dtype}{list(other.shape)} for {mine.dtype}{list(mine.shape)}"
            )


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
