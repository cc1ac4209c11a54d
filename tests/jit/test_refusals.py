"""What PyTorch refuses to script, distrt refuses, too: an error of the same class, which shows the same line."""

from __future__ import annotations

import inspect
import pathlib
import types
from typing import Any

import pytest

import distrt
from distrt import nn
from distrt.jit import frontend
from tests.jit.libraries import programs

PATH = pathlib.Path(__file__).parent / "refused.py"
OURS = programs(distrt, PATH)
NAMES = [
    name
    for name, each in vars(OURS).items()
    if isinstance(each, types.FunctionType) and not name.startswith("_")
]


def _refused(library: Any, name: str) -> Exception:
    try:
        library.jit.script(getattr(programs(library, PATH), name))
    except Exception as fault:
        return fault
    raise AssertionError(f"{library.__name__} compiles {name}")


def _marked(name: str) -> str:
    """The line of the source that the error must show."""
    lines = inspect.getsource(getattr(OURS, name)).splitlines()
    return next((line.strip() for line in lines if "# HERE" in line), "")


@pytest.mark.parametrize("name", NAMES)
def test_the_error_shows_the_line(name: str) -> None:
    said = str(_refused(distrt, name)).splitlines()
    marked = _marked(name)
    if marked:
        place = next(number for number, line in enumerate(said) if "<--- HERE" in line)
        assert said[place - 1].strip() == marked


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_the_error_is_of_pytorchs_class(name: str, torch: Any) -> None:
    ours, theirs = _refused(distrt, name), _refused(torch, name)
    if isinstance(theirs, torch.jit.frontend.FrontendError):
        assert isinstance(ours, frontend.FrontendError)
    else:
        assert isinstance(theirs, RuntimeError) and isinstance(ours, RuntimeError)


def test_a_lambda_and_a_builtin_are_refused() -> None:
    with pytest.raises(RuntimeError, match="lambda cannot be compiled"):
        distrt.jit.script(lambda x: x + 1)
    with pytest.raises(TypeError, match="expected a function"):
        distrt.jit.script(len)


def test_what_a_module_lacks_is_named_with_its_class() -> None:
    class Lacking(nn.Module):
        def __init__(self):
            super().__init__()
            self.thing = object()

        def forward(self, x):
            return self.thing(x)

    class Assigning(nn.Module):
        def forward(self, x):
            self.fresh = x
            return x

    with pytest.raises(RuntimeError, match=r"Module 'Lacking' has no attribute 'thing' .*'object'"):
        distrt.jit.script(Lacking())
    with pytest.raises(RuntimeError, match="Tried to set nonexistent attribute: fresh"):
        distrt.jit.script(Assigning())
    with pytest.raises(RuntimeError, match=r"inherits from nn\.Module"):
        distrt.jit.script(Lacking)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((3,), "Expected a value of type 'Tensor' for argument 'x' but instead found type 'int'"),
        (
            (distrt.ones(1), 2.5),
            "Expected a value of type 'int' for argument 'n' but instead found type 'float'",
        ),
        ((), "missing value for argument 'x'"),
        ((distrt.ones(1), 1, 2), "expected at most 2 argument"),
    ],
)
def test_arguments_are_held_against_their_types(args: Any, message: str) -> None:
    @distrt.jit.script
    def scaled(x, n: int = 2):
        return x * n

    with pytest.raises(RuntimeError, match=message):
        scaled(*args)
    with pytest.raises(RuntimeError, match="unexpected keyword argument 'z'"):
        scaled(distrt.ones(1), z=1)


def test_errors_of_programs_are_of_their_class_and_of_jit() -> None:
    @distrt.jit.script
    def picky(x, n: int):
        assert n != 1, "one is too few"
        if n > 5:
            raise ValueError(f"{n} is too many")
        return x

    for n, kind, message in ((1, AssertionError, "one is too few"), (7, ValueError, "7 is too many")):
        with pytest.raises(kind, match=message) as caught:
            picky(distrt.ones(1), n)
        assert isinstance(caught.value, distrt.jit.Error)
