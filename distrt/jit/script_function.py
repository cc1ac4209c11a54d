"""``ScriptFunction``: a program that is called, printed and saved; and what modules have in common with it."""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any, NoReturn

from distrt.jit import printing
from distrt.jit.interpreter import Runner
from distrt.jit.program import Function, Program

if TYPE_CHECKING:
    from distrt.jit.script_module import RecursiveScriptModule


class Storable:
    """What an archive can hold: it saves itself."""

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """Writes an archive that ``jit.load`` reads."""
        from distrt.jit.archive import save

        save(self, f, _extra_files)

    def save_to_buffer(self, _extra_files: dict[str, Any] | None = None) -> bytes:
        """The archive as bytes."""
        buffer = io.BytesIO()
        self.save(buffer, _extra_files)
        return buffer.getvalue()


class _Printed:
    """The texts of a function or method."""

    _function: Function
    _is_method = False

    @property
    def name(self) -> str:
        """The function's name."""
        return self._function.name.rpartition(".")[2]

    @property
    def code(self) -> str:
        """The function as Python text."""
        return printing.code_of(self._function, self._is_method)

    @property
    def graph(self) -> str:
        """The function's statements, one a line, as text."""
        return printing.graph_of(self._function, self._is_method)

    inlined_graph = graph

    @property
    def schema(self) -> str:
        """Name, parameters and result with their types."""
        return printing.schema_of(self._function)


class ScriptFunction(_Printed, Storable):
    """A function that is data: what ``jit.script`` and ``jit.trace`` make of a Python function."""

    def __init__(self, program: Program, function: Function, doc: str | None = None) -> None:
        self._program, self._function = program, function
        self._runner = Runner(program)
        self.__name__ = self.__qualname__ = self.qualified_name = self.name
        self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function."""
        return self._runner.call(self._function, None, args, kwargs)

    def __repr__(self) -> str:
        return f"<distrt.jit.ScriptFunction {self.__name__}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A function that is decorated in a class body stays a function: there is no ``self`` in it."""
        return self

    def __reduce__(self) -> NoReturn:
        raise pickle.PickleError("ScriptFunction cannot be pickled: use jit.save")


class ScriptMethod(_Printed):
    """A method of a script module: it is called, and has the texts that functions have."""

    _is_method = True

    def __init__(self, module: RecursiveScriptModule, function: Function) -> None:
        self._module, self._function = module, function

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the method."""
        return self._module._runner.call(self._function, self._module, args, kwargs)
