"""The text of ``programs.py`` as a module of either library, and arguments and results that can be compared."""

from __future__ import annotations

import functools
import pathlib
import types
import zlib
from typing import Any

import numpy as np

PATH = pathlib.Path(__file__).parent / "programs.py"


@functools.cache
def programs(library: Any, path: pathlib.Path = PATH) -> types.ModuleType:
    """The functions and modules of the file, with this library for ``torch``."""
    made = types.ModuleType(f"programs_of_{library.__name__}")
    vars(made).update(
        torch=library, Tensor=library.Tensor, nn=library.nn, F=library.nn.functional, __file__=str(path)
    )
    exec(compile(path.read_text(), str(path), "exec"), vars(made))
    return made


def arguments(library: Any, text: str, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that a text describes: the same numbers in either library."""
    rng = np.random.default_rng([seed, zlib.crc32(text.encode())])

    def f(*shape: int) -> Any:
        return library.from_numpy(rng.standard_normal(shape).astype(np.float32)).requires_grad_()

    given = eval(f"take({text})", {"take": lambda *args, **kwargs: (args, kwargs), "f": f})
    return given  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """A result as NumPy arrays, lists and numbers."""
    if hasattr(value, "detach"):
        return value.detach().numpy()
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return value


def assert_alike(ours: Any, theirs: Any) -> None:
    """The same structure, dtypes and, up to rounding, numbers."""
    if isinstance(theirs, list):
        assert isinstance(ours, list) and len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_alike(one, other)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key in theirs:
            assert_alike(ours[key], theirs[key])
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
    elif isinstance(theirs, float):
        assert ours == pytest_approx(theirs)
    else:
        assert type(ours) is type(theirs) and ours == theirs


def pytest_approx(value: float) -> Any:
    """Equal up to rounding."""
    import pytest

    return pytest.approx(value, rel=1e-6, nan_ok=True)


def tensors_in(value: Any) -> list[Any]:
    """The tensors in a nest, in order."""
    if hasattr(value, "detach"):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [found for each in value for found in tensors_in(each)] if isinstance(value, tuple | list) else []


def gradients(library: Any, result: Any, inputs: list[Any]) -> list[Any]:
    """What a weighted sum of all results has for gradients, zeros where there are none."""
    outputs = [each for each in tensors_in(result) if each.requires_grad]
    if not outputs or not inputs:
        return []
    total: Any = 0
    for number, each in enumerate(outputs):
        total = total + (each * (number + 1)).sum()
    found = library.autograd.grad(total, inputs, allow_unused=True)
    return [None if each is None else each.numpy() for each in found]
