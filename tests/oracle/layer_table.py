"""The table of layers: one line per layer and its options, and the calls to make of it.

Every ``*_layers.py`` of this folder adds its lines. ``tests/oracle/test_layers.py`` runs them against PyTorch with
shared weights, ``tests/nn/test_finite_differences.py`` against finite differences, without PyTorch.

A call is the text of an argument list, in which ``f(2, 3)`` draws floats that require grad, ``c(2, 3)`` floats that do
not, ``i(5, 2, 3)`` integers below 5, ``b(2, 3)`` bools and ``apart(2, 3)`` floats no two of which are near each other;
``2x3`` is short for ``f(2, 3)``. ``t`` is the library.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import re
import warnings
import zlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

import distrt
import tests.oracle


@dataclasses.dataclass(frozen=True)
class Layer:
    """One module with its options, and the argument lists to call it with, one after the other."""

    text: str  # the expression that makes it, with `nn` and `t` of either library
    calls: tuple[str, ...]
    second_order: bool = True  # whether its gradients have gradients, in PyTorch

    @property
    def kind(self) -> str:
        """The name of its class."""
        return self.text.removeprefix("nn.").partition("(")[0]

    def make(self, library: Any) -> Any:
        """The module, in either library; some are deprecated."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return eval(self.text, {"nn": library.nn, "t": library, "OrderedDict": OrderedDict})

    def arguments(self, library: Any, call: str, dtype: str, seed: int) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call, the same values in either library."""
        if re.fullmatch(r"[\dx]+", call):
            call = f"f({call.replace('x', ', ')})"
        drawn = np.random.default_rng([seed, zlib.crc32(f"{self.text}/{call}".encode())])
        given = eval(
            f"take({call})",
            {"take": lambda *args, **kwargs: (list(args), kwargs), **_draws(library, dtype, drawn)},
        )
        return given  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return self.text.replace("nn.", "")


def _draws(library: Any, dtype: str, rng: np.random.Generator) -> dict[str, Any]:
    kind = getattr(library, dtype)

    def tensor(array: Any) -> Any:
        return (
            library.from_numpy(np.ascontiguousarray(array))
            if np.ndim(array)
            else library.tensor(np.asarray(array).item())
        )

    def floats(draw: Callable[[tuple[int, ...]], Any], grad: bool) -> Callable[..., Any]:
        return lambda *shape: tensor(np.asarray(draw(shape), np.float64)).to(kind).requires_grad_(grad)

    def permuted(shape: tuple[int, ...]) -> Any:
        return (rng.permutation(math.prod(shape)).reshape(shape) - 0.4 * math.prod(shape)) / 8

    return {
        "t": library,
        "f": floats(rng.standard_normal, True),
        "c": floats(rng.standard_normal, False),
        "p": floats(lambda shape: rng.uniform(0.05, 0.95, shape), True),
        "apart": floats(permuted, True),
        "i": lambda high, *shape: tensor(rng.integers(0, high, shape)),
        "b": lambda *shape: tensor(rng.random(shape) < 0.5),
    }


LAYERS: list[Layer] = []

#: Expressions that must raise what PyTorch raises: the class, and every number of its message.
ERRORS: list[str] = []


def layers(calls: str | tuple[str, ...], *texts: str, second_order: bool = True) -> None:
    """Adds lines: every text with every call; a string is a list of shapes, a tuple one of argument lists."""
    listed = tuple(calls.split()) if isinstance(calls, str) else calls
    LAYERS.extend(Layer(f"nn.{text}", listed, second_order) for text in texts)


def errors(*texts: str) -> None:
    """Adds expressions that must raise, with ``nn``, ``F`` and ``t`` of either library."""
    ERRORS.extend(texts)


def tensors_in(result: Any) -> list[Any]:
    """The tensors of nested results, in order."""
    if isinstance(result, tuple | list):
        return [tensor for each in result for tensor in tensors_in(each)]
    if isinstance(result, dict):
        return [tensor for each in result.values() for tensor in tensors_in(each)]
    return [result] if hasattr(result, "requires_grad") else []


def load() -> None:
    """Imports every file of lines."""
    for found in pkgutil.iter_modules(tests.oracle.__path__, "tests.oracle."):
        if found.name.endswith("_layers") and not found.name.endswith("test_layers"):
            importlib.import_module(found.name)


def all_kinds() -> set[str]:
    """The names of all module classes of ``distrt.nn``."""
    return {name for name in distrt.nn.__all__ if isinstance(getattr(distrt.nn, name), type)}
