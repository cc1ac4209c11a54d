"""One call on both libraries, and where what they say differs."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

import distrt
from tests.oracle.op_cases import TOLERANCE
from tests.oracle.opinfo import translation

#: What both libraries' errors are compared by.
BUILTINS = (NotImplementedError, IndexError, KeyError, AttributeError, TypeError, ValueError, RuntimeError)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one library made of one call."""

    arguments: Any
    result: Any = None
    error: BaseException | None = None


@dataclasses.dataclass(frozen=True)
class Options:
    """What is compared beside the results."""

    values: bool = True
    gradients: bool = False
    order: int = 1
    process: Callable[[Any], Any] | None = None


def differences(theirs: Any, ours: Any, arguments: Any, options: Options) -> Iterator[str]:
    """Runs both functions on copies of the arguments, and says each thing that differs.

    Raises:
        UntranslatableError: where distrt has nothing to give for an argument.
    """
    given = translation.value(arguments)
    expected = call(theirs, translation.fresh(arguments))
    found = call(ours, given)
    if expected.error is not None or found.error is not None:
        yield from _errors(found.error, expected.error)
        return
    told = list(_alike(found.result, expected.result, False, "result"))
    if not told:
        found, expected = _processed(found, ours_process(options)), _processed(expected, options.process)
        if found.error is not None or expected.error is not None:
            told = [f"what tests look at: {each}" for each in _errors(found.error, expected.error)]
        else:
            told = list(_alike(found.result, expected.result, options.values, "result"))
    yield from told
    if options.gradients and not told:
        yield from _gradients(found, expected, options)


def ours_process(options: Options) -> Any:
    """What makes a result unique, such as the absolute values of vectors that may point either way, for distrt."""
    return translation.function(options.process) if options.process else None


def _processed(outcome: Outcome, process: Any) -> Outcome:
    return call(process, ((outcome.result,), {}), outcome.arguments) if process else outcome


def call(run: Any, arguments: Any, inputs: Any = None) -> Outcome:
    """The result or the error, without warnings; and the inputs, where they are others than the arguments."""
    args, kwargs = arguments
    arguments = arguments if inputs is None else inputs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return Outcome(arguments, run(*args, **kwargs))
        except Exception as error:
            return Outcome(arguments, error=error)


def _errors(found: BaseException | None, expected: BaseException | None) -> Iterator[str]:
    if found is None:
        yield f"no error, instead of {_told(expected)}"
    elif expected is None:
        yield f"error: {_told(found)}"
    else:
        kind = next((each for each in BUILTINS if isinstance(expected, each)), Exception)
        if not isinstance(found, kind):
            yield f"error class: {_told(found)} instead of {_told(expected)}"


def _told(error: BaseException | None) -> str:
    first = str(error).strip().splitlines()[:1]
    return f"{type(error).__name__}: {' '.join(first)[:200]}"


def _alike(found: Any, expected: Any, with_values: bool, what: str) -> Iterator[str]:
    if isinstance(expected, torch.Tensor):
        if not isinstance(found, distrt.Tensor):
            yield f"{what} is a {type(found).__name__}, instead of a tensor"
        else:
            yield from _same(found, expected, with_values, what)
    elif isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(found) != len(expected):
            yield f"{what} is {_kind(found)}, instead of {_kind(expected)}"
            return
        if isinstance(found, list) != isinstance(expected, list):
            yield f"{what} is a {type(found).__name__}, instead of a {type(expected).__name__}"
        for number, (mine, other) in enumerate(zip(found, expected, strict=True)):
            yield from _alike(mine, other, with_values, f"{what}[{number}]")
    elif isinstance(expected, torch.dtype | torch.device):
        if str(found) != str(expected):
            yield f"{what} is {found}, instead of {expected}"
    elif with_values and not _equal(found, expected):
        yield f"{what} is {str(found)[:80]}, instead of {str(expected)[:80]}"


def _kind(value: Any) -> str:
    return type(value).__name__ + (f" of {len(value)}" if hasattr(value, "__len__") else "")


def _equal(found: Any, expected: Any) -> bool:
    if isinstance(expected, float | complex) and type(found) is type(expected):
        return bool(np.isclose(found, expected, 1e-5, 1e-6, equal_nan=True))
    return type(found) is type(expected) and found == expected


def _same(
    found: Any, expected: torch.Tensor, with_values: bool, what: str, scale: float = 1.0
) -> Iterator[str]:
    if tuple(found.shape) != tuple(expected.shape):
        yield f"{what}: shape {tuple(found.shape)} instead of {tuple(expected.shape)}"
        return
    if str(found.dtype).removeprefix("distrt.") != str(expected.dtype) and str(found.dtype) != str(
        expected.dtype
    ):
        yield f"{what}: dtype {found.dtype} instead of {expected.dtype}"
        return
    if found.requires_grad != expected.requires_grad:
        yield f"{what}: requires_grad {found.requires_grad} instead of {expected.requires_grad}"
    if with_values:
        off = distance(found, expected, scale)
        if off is not None:
            yield f"{what}: values, {off}"


def distance(found: Any, expected: torch.Tensor, scale: float = 1.0) -> str | None:
    """How far the values are apart, or None where they are within the dtype's tolerance."""
    name = str(expected.dtype).removeprefix("torch.")
    rtol, atol = TOLERANCE.get(name, (0.0, 0.0))
    mine, other = _numbers(found), _numbers(expected)
    if not other.size:
        return None
    finite = np.abs(other[np.isfinite(other)]) if atol else np.empty(0)
    atol = atol * scale * max(1.0, finite.max(initial=0.0))
    close = np.isclose(mine, other, rtol * scale, atol, equal_nan=True)
    if bool(close.all()):
        return None
    place = tuple(int(index[0]) for index in np.nonzero(~close)) if close.ndim else ()
    return f"{int((~close).sum())} of {close.size}, first at {place}: {mine[place]!r} instead of {other[place]!r}"


def _numbers(tensor: Any) -> np.ndarray[Any, Any]:
    plain = tensor.detach()
    if plain.is_complex():
        return np.asarray(plain.resolve_conj().resolve_neg().numpy(force=True))
    return np.asarray((plain.double() if plain.is_floating_point() else plain).numpy(force=True))


def _gradients(found: Outcome, expected: Outcome, options: Options) -> Iterator[str]:
    outputs = [
        pair
        for pair in zip(_tensors(found.result), _tensors(expected.result), strict=True)
        if pair[1].requires_grad
    ]
    inputs = [
        pair
        for pair in zip(_tensors(found.arguments), _tensors(expected.arguments), strict=True)
        if pair[1].requires_grad
    ]
    if not outputs or not inputs:
        return
    yield from _compare_gradients(outputs, inputs, 1, options.order)


def _compare_gradients(outputs: Any, inputs: Any, depth: int, order: int) -> Iterator[str]:
    rng = np.random.default_rng(depth)
    seeds = []
    for _, other in outputs:
        drawn = rng.uniform(0.5, 1.5, tuple(other.shape))
        if other.is_complex():
            drawn = np.asarray(drawn + 1j * rng.uniform(0.5, 1.5, tuple(other.shape)))
        seeds.append(
            (
                distrt.from_numpy(drawn).to(str(other.dtype) and getattr(distrt, str(other.dtype)[6:])),
                torch.from_numpy(drawn).to(other.dtype),
            )
        )
    made = []
    for which, library in enumerate((distrt, torch)):
        sides = ([pair[which] for pair in pairs] for pairs in (outputs, inputs, seeds))
        made.append(
            call(library.autograd.grad, (tuple(sides), {"create_graph": depth < order, "allow_unused": True}))
        )
    found, expected = made
    if found.error is not None or expected.error is not None:
        for each in _errors(found.error, expected.error):
            yield f"gradient of order {depth}: {each}"
        return
    onward = []
    for number, (mine, other) in enumerate(zip(found.result, expected.result, strict=True)):
        what = f"gradient {number} of order {depth}"
        if (mine is None) != (other is None):
            if other is not None and depth > 1 and not other.any():
                continue
            if mine is not None and depth > 1 and not mine.any():
                continue
            told = ("None", "a tensor") if mine is None else ("a tensor", "None")
            yield f"{what}: {told[0]} instead of {told[1]}"
        elif mine is not None:
            yield from _same_gradient(mine, other, what, 10.0**depth)
            if mine.requires_grad and other.requires_grad:
                onward.append((mine, other))
    if onward and depth < order:
        yield from _compare_gradients(onward, inputs, depth + 1, order)


def _same_gradient(mine: Any, other: torch.Tensor, what: str, scale: float) -> Iterator[str]:
    if tuple(mine.shape) != tuple(other.shape):
        yield f"{what}: shape {tuple(mine.shape)} instead of {tuple(other.shape)}"
    elif str(mine.dtype).split(".")[-1] != str(other.dtype).split(".")[-1]:
        yield f"{what}: dtype {mine.dtype} instead of {other.dtype}"
    else:
        off = distance(mine, other, scale)
        if off is not None:
            yield f"{what}: values, {off}"


def _tensors(value: Any) -> list[Any]:
    if isinstance(value, torch.Tensor | distrt.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [each for item in value for each in _tensors(item)]
    if isinstance(value, dict):
        return [each for item in value.values() for each in _tensors(item)]
    if isinstance(value, slice):
        return _tensors((value.start, value.stop, value.step))
    return []
