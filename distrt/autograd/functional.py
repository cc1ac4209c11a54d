"""Derivatives of functions: Jacobians, Hessians, and their products with vectors.

Each takes a function of tensors and the point at which it is to be differentiated. An input that the function does not
depend on gives zeros, or with ``strict=True`` an error. Source: https://pytorch.org/docs/stable/autograd.html.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from distrt.autograd.strictness import filled, require_grad
from distrt.core import ops
from distrt.core.autograd.roots import grad
from distrt.core.creation import zeros_like
from distrt.core.errors import AutogradError
from distrt.core.modes import enable_grad, is_grad_enabled, set_grad_enabled
from distrt.core.overriding.doors import overridable
from distrt.core.tensor import Tensor

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_stack = overridable(ops.stack)

Tensors = tuple[Any, ...]
Function = Callable[..., Any]


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and the product of the vector ``v`` (of the outputs' shapes) with the Jacobian.

    Args:
        func: takes tensors and returns a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        v: like the outputs; may be missing where the output is one tensor of one element.
        create_graph: make both results differentiable.
        strict: refuse inputs that the outputs do not depend on.

    Raises:
        RuntimeError: for a ``v`` that does not fit, or where ``strict`` finds an independent input.
    """
    with enable_grad():
        point = _Point(func, inputs, "vjp", create_graph)
        point.run(strict)
        vector = _vector(v, point.outputs, point.several_outputs, create_graph, "vjp", _NO_V_FOR_OUTPUT)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grad(point.outputs, point.inputs, vector, create_graph)
        product = filled(found, point.inputs, strict, create_graph, "back")
    return point.results(point.outputs, point.several_outputs), point.results(product, point.several_inputs)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and the product of the Jacobian with the vector ``v`` (of the inputs' shapes).

    The vector-Jacobian product is linear in its vector; its derivative along ``v`` is the product wanted here.
    Arguments and errors are those of ``vjp``.
    """
    with enable_grad():
        point = _Point(func, inputs, "jvp", create_graph)
        vector = _vector(v, point.inputs, point.several_inputs, create_graph, "jvp", _NO_V_FOR_INPUT)
        point.run(strict)
        weights = tuple(zeros_like(out).requires_grad_() for out in point.outputs)
        gradients = _grad(point.outputs, point.inputs, weights, create_graph=True)
        require_grad(gradients, "grad_inputs", strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grad(gradients, weights, vector, create_graph)
        product = filled(found, point.outputs, strict, create_graph, "back_trick")
    return point.results(point.outputs, point.several_outputs), point.results(product, point.several_outputs)


def jacobian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: for each output and input, a tensor of both shapes, the output's first.

    Args:
        func: takes tensors and returns a tensor or a tuple of them.
        inputs: a tensor or a tuple of them.
        create_graph: make the result differentiable.
        strict: refuse inputs that an output does not depend on.
        vectorize: accepted; the rows are computed one after another.
        strategy: "reverse-mode", or "forward-mode" (with ``vectorize``), which gives the same.

    Raises:
        RuntimeError: where ``strict`` finds an independent input, and for ``strict`` with ``vectorize``.
    """
    _require_strategy(strategy, create_graph, vectorize, strict)
    with enable_grad():
        point = _Point(func, inputs, "jacobian", create_graph)
        point.run(strict)
        if vectorize and strict:
            raise AutogradError(
                "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not supported together. "
                "Please either set `strict=False` or `vectorize=False`."
            )
        rows = tuple(
            _rows(number, out, point.inputs, create_graph, strict) for number, out in enumerate(point.outputs)
        )
    found = tuple(point.results(row, point.several_inputs) for row in rows)
    return found if point.several_outputs else found[0]


def hessian(
    func: Function,
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of a function with one element: for each pair of inputs, a tensor of both shapes.

    Arguments and errors are those of ``jacobian``.
    """
    several, listed = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def value(*given: Any) -> Any:
        out = func(*given)
        several_outputs, outputs = _as_tuple(out, "outputs of the user-provided function", "hessian")
        require_grad(outputs, "outputs", strict)
        _require_one_element(outputs, several_outputs, "hessian")
        return out.reshape(())

    def gradient(*given: Any) -> Any:
        made = tuple(each.requires_grad_() if each.is_leaf else each for each in given)
        found = jacobian(value, made, create_graph=True)
        require_grad(found, "jacobian", strict)
        return found

    # The outer Jacobian takes the leaves that `gradient` makes of the inputs, so it always records.
    found = jacobian(gradient, listed, create_graph, strict, vectorize, outer_jacobian_strategy)
    return found if several else found[0][0]


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The output, and the product of the vector ``v`` (of the inputs' shapes) with the Hessian.

    Arguments and errors are those of ``vjp``; the function returns one tensor of one element.
    """
    with enable_grad():
        point = _Point(func, inputs, "vhp", create_graph)
        vector = _vector(v, point.inputs, point.several_inputs, create_graph, "vhp", _NO_V_FOR_INPUT)
        gradients = _first_derivative(point, strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grad(gradients, point.inputs, vector, create_graph)
        product = filled(found, point.inputs, strict, create_graph, "double_back")
    return point.results(point.outputs, point.several_outputs), point.results(product, point.several_inputs)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The output, and the product of the Hessian with the vector ``v``; ``vhp`` is faster and the same if it is smooth.

    Arguments and errors are those of ``vhp``.
    """
    with enable_grad():
        point = _Point(func, inputs, "hvp", create_graph)
        vector = _vector(v, point.inputs, point.several_inputs, create_graph, "hvp", _NO_V_FOR_INPUT)
        gradients = _first_derivative(point, strict)
        weights = tuple(zeros_like(each).requires_grad_() for each in point.inputs)
        doubled = _grad(gradients, point.inputs, weights, create_graph=True)
        require_grad(doubled, "hessian", strict)
    with set_grad_enabled(create_graph or is_grad_enabled()):
        found = _grad(doubled, weights, vector, create_graph)
        product = filled(found, point.inputs, strict, create_graph, "double_back_trick")
    return point.results(point.outputs, point.several_outputs), point.results(product, point.several_inputs)


# -- the function at a point


class _Point:
    """A function, copies of its inputs that require grad, and its outputs there."""

    def __init__(self, func: Function, inputs: Any, name: str, create_graph: bool) -> None:
        self._func, self._name, self._create_graph = func, name, create_graph
        self.several_inputs, given = _as_tuple(inputs, "inputs", name)
        self.inputs = tuple(_own(each, create_graph, need_graph=True) for each in given)
        self.outputs: Tensors = ()
        self.several_outputs = False

    def run(self, strict: bool) -> None:
        made = self._func(*self.inputs)
        self.several_outputs, self.outputs = _as_tuple(
            made, "outputs of the user-provided function", self._name
        )
        require_grad(self.outputs, "outputs", strict)

    def results(self, found: Tensors, are_several: bool) -> Any:
        """As the user gave them: a tuple or one tensor, in the graph only where that was asked for."""
        given = found if self._create_graph else tuple(each.detach() for each in found)
        return given if are_several else given[0]


def _own(tensor: Tensor, create_graph: bool, need_graph: bool) -> Tensor:
    """A stand-in that the user's tensor does not notice: it is connected to it only under ``create_graph``."""
    if create_graph and tensor.requires_grad:
        return ops.view(tensor, tuple(tensor.shape))  # type: ignore[no-any-return]
    return tensor.detach().requires_grad_(need_graph)


def _as_tuple(given: Any, what: str, name: str) -> tuple[bool, Tensors]:
    several = isinstance(given, tuple)
    listed: Tensors = given if several else (given,)
    for number, each in enumerate(listed):
        if not isinstance(each, Tensor):
            where = f"the value at index {number}" if several else f"the given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but {where} has type "
                f"{type(each)}."
            )
    return several, listed


def _first_derivative(point: _Point, strict: bool) -> Tensors:
    point.run(strict)
    _require_one_element(point.outputs, point.several_outputs, point._name)
    gradients = _grad(point.outputs, point.inputs, None, create_graph=True)
    require_grad(gradients, "jacobian", strict)
    return gradients


def _require_one_element(outputs: Tensors, are_several: bool, name: str) -> None:
    if are_several:
        raise AutogradError(f"The function given to {name} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise AutogradError(
            f"The Tensor returned by the function given to {name} should contain a single element"
        )


# -- vectors


_NO_V_FOR_OUTPUT = (
    "The vector v can only be None if the user-provided function returns a single Tensor with a single "
    "element."
)
_NO_V_FOR_INPUT = (
    "The vector v can only be None if the input to the user-provided function is a single Tensor with a "
    "single element."
)


def _vector(
    v: Any, like: Tensors, are_several: bool, create_graph: bool, name: str, if_missing: str
) -> Tensors | None:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise AutogradError(if_missing)
        return None
    _, listed = _as_tuple(v, "v", name)
    vector = tuple(_own(each, create_graph, need_graph=False) for each in listed)
    if len(vector) != len(like):
        if are_several:
            raise AutogradError(
                f"v is a tuple of invalid length: should be {len(like)} but got {len(vector)}."
            )
        raise AutogradError("The given v should contain a single Tensor.")
    for number, (each, other) in enumerate(zip(vector, like, strict=True)):
        if each.shape != other.shape:
            entry = f"Entry {number} in " if are_several else ""
            raise AutogradError(f"{entry}v has invalid size: should be {other.shape} but got {each.shape}.")
    return vector


# -- gradients


def _grad(outputs: Sequence[Any], inputs: Tensors, vector: Tensors | None, create_graph: bool) -> Tensors:
    """As ``autograd.grad``; outputs that are None or have no graph add nothing."""
    weights = (None,) * len(outputs) if vector is None else vector
    pairs = [
        (out, weight)
        for out, weight in zip(outputs, weights, strict=True)
        if out is not None and out.requires_grad
    ]
    if not pairs:
        return (None,) * len(inputs)
    roots, started = zip(*pairs, strict=True)
    return grad(roots, inputs, started, create_graph=create_graph, allow_unused=True)


def _rows(number: int, out: Tensor, inputs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The Jacobian of one output, by each input: one pass for each element."""
    flat = out.reshape(-1)
    rows: list[list[Any]] = [[] for _ in inputs]
    for element in range(out.numel()):
        found: Tensors = (None,) * len(inputs)
        if out.requires_grad:
            found = grad(
                flat[element], inputs, retain_graph=True, create_graph=create_graph, allow_unused=True
            )
        for index, (row, gradient) in enumerate(zip(rows, found, strict=True)):
            if gradient is None and strict:
                raise AutogradError(
                    f"Output {number} of the user-provided function is independent of input {index}. This is not "
                    "allowed in strict mode."
                )
            if gradient is not None and strict and create_graph and not gradient.requires_grad:
                raise AutogradError(
                    f"The jacobian of the user-provided function is independent of input {number}. This is not allowed "
                    "in strict mode when create_graph=True."
                )
            row.append(zeros_like(inputs[index]) if gradient is None else gradient)
    return tuple(
        _stack(row).reshape((*out.shape, *each.shape)) for row, each in zip(rows, inputs, strict=True)
    )


_STRATEGIES = ("forward-mode", "reverse-mode")


def _require_strategy(strategy: str, create_graph: bool, vectorize: bool, strict: bool) -> None:
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has more outputs '
            'than inputs, "forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "reverse-mode":
        return
    if create_graph:
        raise NotImplementedError(
            'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if strict:
        raise AutogradError(
            'torch.autograd.functional.jacobian: `strict=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for "
            "`vectorize=True`."
        )
