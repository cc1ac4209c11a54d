"""Checking derivatives against finite differences: ``gradcheck`` and, for second derivatives, ``gradgradcheck``.

Complex outputs are checked as two real functions, their real and their imaginary part; the Jacobian by a complex input
holds ``d/dx + i d/dy``, which is what a gradient is. Source: https://pytorch.org/docs/stable/notes/gradcheck.html.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from distrt.core import ops
from distrt.core.arrays import on_host
from distrt.core.autograd.function import Function
from distrt.core.autograd.roots import grad
from distrt.core.creation import zeros_like
from distrt.core.errors import AutogradError, UnsupportedError
from distrt.core.gpu.places import at, beside
from distrt.core.modes import enable_grad
from distrt.core.process.users_code import warn
from distrt.core.random.generator import numpy_generator
from distrt.core.tensor import Tensor, wrap

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensors = tuple[Any, ...]


class GradcheckError(AutogradError):
    """A derivative that differs from the finite difference."""


class _Tolerances(NamedTuple):
    eps: float
    atol: float
    rtol: float
    nondet: float
    check_dtypes: bool


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compares the Jacobian of ``func`` with finite differences, by every input that requires grad.

    Args:
        func: takes the inputs and returns a tensor or a tuple of them.
        inputs: a tensor or a tuple; use float64 or complex128.
        eps: the step of the finite differences.
        atol, rtol: how far the two may be apart, absolutely and relatively.
        raise_exception: raise where they differ; otherwise return False.
        nondet_tol: how far two backward passes over the same graph may be apart.
        check_undefined_grad: check that an output without gradient counts as one whose gradient is zero.
        check_grad_dtypes: check that gradients have their inputs' dtypes.
        check_backward_ad: must be True.
        fast_mode: accepted; the whole Jacobian is compared all the same.
        masked: accepted; there are no sparse tensors.
        check_batched_grad, check_batched_forward_grad, check_forward_ad: must be False.

    Raises:
        GradcheckError: where they differ, with both Jacobians.
        ValueError: where no input requires grad.
    """
    if check_batched_grad or check_batched_forward_grad or check_forward_ad or not check_backward_ad:
        raise UnsupportedError(
            "gradcheck: distrt has no forward-mode differentiation, and no operations on batches of gradients; leave "
            "check_batched_grad, "
            "check_batched_forward_grad and check_forward_ad at False and check_backward_ad at True"
        )
    tolerances = _Tolerances(eps, atol, rtol, nondet_tol, check_grad_dtypes)
    try:
        with enable_grad():
            _check(func, _listed(inputs), tolerances, check_undefined_grad)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """``gradcheck`` of the gradient itself, by the inputs and by the outputs' gradients.

    Args:
        func, inputs: as for ``gradcheck``.
        grad_outputs: the gradients of the outputs; drawn from [-1, 1) when not given.
        gen_non_contig_grad_outputs: accepted.
        eps, atol, rtol, raise_exception, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, masked: as
            for ``gradcheck``.
        check_batched_grad, check_fwd_over_rev: must be False.
        check_rev_over_rev: must be True.

    Raises:
        GradcheckError: where they differ, with both Jacobians.
    """
    given = _listed(inputs)
    with enable_grad():
        if grad_outputs is None:
            weights = tuple(_drawn_like(out) for out in _differentiable(func(*given)))
        else:
            weights = _listed(grad_outputs)
    wanted = [number for number, each in enumerate(given) if _moves(each)]

    def gradient(*all_inputs: Any) -> Tensors:
        point, started = all_inputs[: len(given)], all_inputs[len(given) :]
        outputs = _differentiable(func(*point))
        leaves = [point[number] for number in wanted]
        found = grad(outputs, leaves, started, create_graph=True, allow_unused=True)
        return tuple(each for each in found if each is not None)

    return gradcheck(
        gradient,
        (*given, *weights),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
    )


def _check(
    func: Callable[..., Any], inputs: Tensors, tolerances: _Tolerances, check_undefined_grad: bool
) -> None:
    _require_usable(inputs)
    outputs = _listed(func(*inputs))
    if any(isinstance(out, Tensor) and out.is_complex() and out.requires_grad for out in outputs):
        for part, name in ((ops.imag, "imaginary"), (ops.real, "real")):
            _compare(
                _part_of(func, part),
                inputs,
                tolerances,
                f"While considering the {name} part of complex outputs",
            )
    else:
        _compare(func, inputs, tolerances, "")
    if _differentiable(outputs):
        _check_multiplied(func, inputs)
        if check_undefined_grad:
            _check_undefined(func, inputs)


def _part_of(func: Callable[..., Any], part: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *inputs: tuple(
        part(out) if isinstance(out, Tensor) and out.is_complex() else out for out in _listed(func(*inputs))
    )


def _compare(func: Callable[..., Any], inputs: Tensors, tolerances: _Tolerances, where: str) -> None:
    outputs = [out for out in _listed(func(*inputs)) if isinstance(out, Tensor)]
    moving = [number for number, each in enumerate(inputs) if _moves(each)]
    measured = {number: _numerical(func, inputs, number, outputs, tolerances.eps) for number in moving}
    leaves = [inputs[number] for number in moving]
    for index, out in enumerate(outputs):
        if not out.requires_grad:
            if not _differentiable(outputs) and any(measured[number][index].any() for number in moving):
                raise GradcheckError("Numerical gradient for function expected to be zero")
            continue
        rows = _analytical(out, leaves, tolerances)
        for position, (number, found) in enumerate(zip(moving, rows, strict=True)):
            expected = measured[number][index]
            if not np.allclose(found, expected, tolerances.rtol, tolerances.atol, equal_nan=True):
                prefix = f"{where} only, " if where else ""
                raise GradcheckError(
                    f"{prefix}Jacobian mismatch for output {index} with respect to input {position},\n"
                    f"numerical:{wrap(expected)}\nanalytical:{wrap(found)}\n"
                )


def _numerical(
    func: Callable[..., Any], inputs: Tensors, number: int, outputs: list[Any], eps: float
) -> list[Any]:
    """The Jacobian of each output by one input: (elements of the input, elements of the output)."""
    point = inputs[number]
    sizes = [out.numel() for out in outputs]
    kinds = [np.complex128 if point.is_complex() or out.is_complex() else np.float64 for out in outputs]
    jacobians = [np.zeros((point.numel(), size), kind) for size, kind in zip(sizes, kinds, strict=True)]
    steps = (eps, eps * 1j) if point.is_complex() else (eps,)
    for element in range(point.numel()):
        for step in steps:
            ends = [_moved(func, inputs, number, element, sign * step, outputs) for sign in (1, -1)]
            for jacobian, after, before in zip(jacobians, *ends, strict=True):
                jacobian[element] += (after - before) / (2 * eps) * (step / eps)
    return jacobians


def _moved(
    func: Callable[..., Any], inputs: Tensors, number: int, element: int, step: complex, outputs: list[Any]
) -> list[Any]:
    """The outputs, flat and in double precision, with one element of one input moved a step."""
    with at(inputs[number]._array):
        array = inputs[number]._array.copy()
        array.reshape(-1)[element] += step
    moved = tuple(
        wrap(array).requires_grad_() if n == number else _fresh(each) for n, each in enumerate(inputs)
    )
    found = [out for out in _listed(func(*moved)) if isinstance(out, Tensor)]
    for old, new in zip(outputs, found, strict=True):
        for what, a, b in (("shape", old.shape, new.shape), ("dtype", old.dtype, new.dtype)):
            if a != b:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are perturbed on index "
                    f"{element} by {step}, but got: {what}s {a} and {b}."
                )
    wide = [np.complex128 if out.is_complex() else np.float64 for out in found]
    return [on_host(out._array).astype(kind).reshape(-1) for out, kind in zip(found, wide, strict=True)]


def _fresh(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    with at(value._array):
        return wrap(value._array.copy()).requires_grad_(value.requires_grad)


def _analytical(out: Any, leaves: list[Any], tolerances: _Tolerances) -> list[Any]:
    """The Jacobian of one output by each leaf, one backward pass for each element, each made twice."""
    jacobians: list[Any] = [
        np.zeros((leaf.numel(), out.numel()), np.complex128 if leaf.is_complex() else np.float64)
        for leaf in leaves
    ]
    for element in range(out.numel()):
        started = np.zeros(out._array.size, out._array.dtype)
        started[element] = 1
        weight = wrap(beside(started.reshape(out._array.shape), out))
        passes = [grad(out, leaves, weight, retain_graph=True, allow_unused=True) for _ in range(2)]
        for jacobian, leaf, first, second in zip(jacobians, leaves, *passes, strict=True):
            if first is None or second is None:
                continue
            if tolerances.check_dtypes and first.dtype != leaf.dtype:
                raise GradcheckError("Gradient has dtype mismatch")
            if first.shape != leaf.shape:
                raise GradcheckError("Analytical gradient has incorrect size")
            found, again = on_host(first._array), on_host(second._array)
            if not np.allclose(found, again, 0, tolerances.nondet, equal_nan=True):
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times "
                    "gives different values, although analytical gradient matches numerical gradient.The tolerance for "
                    f"nondeterminism was {tolerances.nondet}."
                )
            jacobian[:, element] = found.reshape(-1)
    return jacobians


def _check_multiplied(func: Callable[..., Any], inputs: Tensors) -> None:
    outputs = _differentiable(func(*inputs))
    leaves = [each for each in inputs if _moves(each)]
    for gradient in grad(outputs, leaves, [zeros_like(out) for out in outputs], allow_unused=True):
        if _is_not_zero(gradient):
            raise GradcheckError("backward not multiplied by grad_output")


def _is_not_zero(gradient: Tensor | None) -> bool:
    if gradient is None:
        return False
    with at(gradient._array):
        return bool(gradient._array.any())


def _check_undefined(func: Callable[..., Any], inputs: Tensors) -> None:
    """With no gradient for any output, and with none for one of several that have zeros."""
    leaves = [each for each in inputs if _moves(each)]
    count = len(_differentiable(func(*inputs)))
    for missing in [set(range(count)), *([{number} for number in range(count)] if count > 1 else [])]:
        outputs = _differentiable(func(*inputs))
        roots = [_Undefined.apply(out) if n in missing else out for n, out in enumerate(outputs)]
        try:
            found = grad(roots, leaves, [zeros_like(out) for out in outputs], allow_unused=True)
        except Exception as error:
            raise GradcheckError(
                'Expected backward function to handle undefined output grads. Please look at "Notes about undefined '
                'output gradients" in "tools/autograd/derivatives.yaml"'
            ) from error
        if any(map(_is_not_zero, found)):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero. Please "
                'look at "Notes about undefined output gradients" in "tools/autograd/derivatives.yaml"'
            )


class _Undefined(Function):
    """The identity, which passes no gradient on."""

    @staticmethod
    def forward(ctx: Any, input: Any) -> Any:
        return input.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> None:
        return None


def _require_usable(inputs: Tensors) -> None:
    for number, each in enumerate(inputs):
        if not _moves(each):
            continue
        if each._array.dtype not in (np.float64, np.complex128):
            warn(
                f"Input #{number} requires gradient and is not a double precision floating point or complex. This "
                "check will likely fail if all the inputs are not of double precision floating point or complex. "
            )
        if any(step == 0 and size > 1 for step, size in zip(each.stride(), each.shape, strict=True)):
            raise AutogradError(
                f"The {number}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to compute the numerical gradients correctly. You should call .contiguous "
                "on the input before passing it to gradcheck."
            )
    if not any(_moves(each) for each in inputs):
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


def _moves(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _listed(value: Any) -> Tensors:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _differentiable(outputs: Any) -> Tensors:
    return tuple(out for out in _listed(outputs) if _moves(out))


def _drawn_like(out: Any) -> Any:
    generator = numpy_generator(None)
    drawn = generator.uniform(-1, 1, out._array.shape).astype(out._array.dtype)
    if out.is_complex():
        drawn = (drawn + 1j * generator.uniform(-1, 1, out._array.shape)).astype(out._array.dtype)
    return wrap(beside(drawn, out)).requires_grad_()
