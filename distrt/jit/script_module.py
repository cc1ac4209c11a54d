"""``ScriptFunction`` and ``ScriptModule``: programs that are called, trained, printed and saved."""

from __future__ import annotations

import copy
import functools
import inspect
import io
from collections.abc import Iterator
from typing import Any, NoReturn

from distrt.jit import printing
from distrt.jit.interpreter import Runner
from distrt.jit.program import IR, Function, Parameter, Program
from distrt.nn.modules.container import ModuleDict, ModuleList, Sequential
from distrt.nn.modules.module import Module


class ScriptFunction:
    """A function that is data: what ``jit.script`` and ``jit.trace`` make of a Python function."""

    def __init__(self, program: Program, function: Function, doc: str | None = None) -> None:
        self._program, self._function = program, function
        self._runner = Runner(program)
        self.__name__ = self.__qualname__ = function.name.rpartition(".")[2]
        self.__doc__ = doc

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the function."""
        return self._runner.call(self._function, None, args, kwargs)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.__name__

    @property
    def code(self) -> str:
        """The function as Python text."""
        return printing.code_of(self._function)

    @property
    def graph(self) -> str:
        """The function's statements, one a line, as text."""
        return printing.graph_of(self._function)

    inlined_graph = graph

    @property
    def schema(self) -> str:
        """Name, parameters and result with their types."""
        return printing.schema_of(self._function)

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """Saves the function as an archive that ``jit.load`` reads."""
        from distrt.jit.archive import save

        save(self, f, _extra_files)

    def save_to_buffer(self, _extra_files: dict[str, Any] | None = None) -> bytes:
        """The archive as bytes."""
        buffer = io.BytesIO()
        self.save(buffer, _extra_files)
        return buffer.getvalue()

    def __repr__(self) -> str:
        return f"<distrt.jit.ScriptFunction {self.__name__}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """A function that is decorated in a class body stays a function: there is no ``self`` in it."""
        return self

    def __reduce__(self) -> NoReturn:
        raise RuntimeError("a scripted function cannot be pickled: use jit.save")


class ScriptModule(Module):
    """The base of scripted and traced modules, for ``isinstance``."""


class RecursiveScriptModule(ScriptModule):
    """A module whose methods are data. Its parameters and buffers are those of the module that it was made of."""

    @classmethod
    def _made(
        cls,
        program: Program,
        functions: dict[str, Function],
        attributes: dict[str, Any],
        original_name: str,
    ) -> Any:
        """A module without parameters and children yet."""
        made = cls()
        made.__dict__.update(
            _program=program,
            _runner=Runner(program),
            _functions=functions,
            _attributes=attributes,
            _original_name=original_name,
            _bound=_bound,
        )
        return made

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the program's ``forward``.

        Raises:
            NotImplementedError: for a module that has none.
        """
        if "forward" not in self.__dict__["_functions"]:
            return super().forward(*args, **kwargs)
        return self._run("forward", *args, **kwargs)

    def _run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._runner.call(self._functions[name], self, args, kwargs)

    def _forward(self) -> Function:
        if "forward" not in self._functions:
            raise RuntimeError(f"{self.original_name} has no method forward in this program")
        return self._functions["forward"]  # type: ignore[no-any-return]

    @property
    def original_name(self) -> str:
        """The name of the class that this was made of."""
        return str(self.__dict__["_original_name"])

    @property
    def code(self) -> str:
        """``forward`` as Python text."""
        return printing.code_of(self._forward(), is_method=True)

    @property
    def graph(self) -> str:
        """The statements of ``forward``, one a line, as text."""
        return printing.graph_of(self._forward(), is_method=True)

    inlined_graph = graph

    @property
    def code_with_constants(self) -> tuple[str, dict[str, Any]]:
        """``forward`` as text, and the tensors that it names as constants."""
        return self.code, {f"c{n}": each for n, each in enumerate(self._program.constants)}

    def save(self, f: Any, _extra_files: dict[str, Any] | None = None) -> None:
        """Saves the module as an archive that ``jit.load`` reads."""
        from distrt.jit.archive import save

        save(self, f, _extra_files)

    def save_to_buffer(self, _extra_files: dict[str, Any] | None = None) -> bytes:
        """The archive as bytes."""
        buffer = io.BytesIO()
        self.save(buffer, _extra_files)
        return buffer.getvalue()

    def extra_repr(self) -> str:
        """The name of the class that this was made of."""
        return f"original_name={self.original_name}"

    def get_debug_state(self) -> NoReturn:
        """Not there: programs are not optimised in stages. Raises RuntimeError."""
        raise RuntimeError("jit: programs run as they are, so there is no state of an optimiser to look at")

    def __getattr__(self, name: str) -> Any:
        state = self.__dict__
        if name in state.get("_attributes", ()):
            return state["_attributes"][name]
        if name in state.get("_functions", ()):
            return _bound(self, name)
        return super().__getattr__(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self.__dict__.get("_attributes", ()):
            self.__dict__["_attributes"][name] = value
        else:
            super().__setattr__(name, value)

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("a scripted or traced module cannot be pickled: use jit.save")

    def __copy__(self) -> Any:
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = memo[id(self)] = type(self).__new__(type(self))
        shared = ("_program", "_runner", "_functions", "_bound")  # never changed
        made.__dict__.update(
            {
                key: value if key in shared else copy.deepcopy(value, memo)
                for key, value in self.__dict__.items()
            }
        )
        return made


class ScriptModuleList(RecursiveScriptModule):
    """What becomes of a container in order: a ``Sequential`` or ``ModuleList`` with methods of the user's."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __getitem__(self, index: Any) -> Any:
        return list(self._modules.values())[index]


class ScriptModuleDict(RecursiveScriptModule):
    """What becomes of a ``ModuleDict`` with methods of the user's."""

    stands_for_a_dict = True

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: Any) -> bool:
        return key in self._modules

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def keys(self) -> Any:
        """The children's names."""
        return self._modules.keys()

    def values(self) -> Any:
        """The children."""
        return self._modules.values()

    def items(self) -> Any:
        """The children's names, each with the child."""
        return self._modules.items()


#: The classes of scripted modules, by the word for them in archives; and which of them a module becomes.
FORMS: dict[str, type[RecursiveScriptModule]] = {
    "module": RecursiveScriptModule,
    "list": ScriptModuleList,
    "dict": ScriptModuleDict,
}


def form_of(module: Module) -> type[RecursiveScriptModule]:
    """The class of script modules that stands for a module of the user's."""
    if isinstance(module, ModuleDict):
        return ScriptModuleDict
    return ScriptModuleList if isinstance(module, Sequential | ModuleList) else RecursiveScriptModule


class TracedModule(RecursiveScriptModule):
    """The base of traced modules, for ``isinstance``."""


class TopLevelTracedModule(TracedModule):
    """What ``jit.trace`` makes of a module."""

    def _get_name(self) -> str:
        return self.original_name


class LayerModule(RecursiveScriptModule):
    """A layer of distrt that was scripted by itself: it shares all that the layer has, and calls it."""

    @classmethod
    def around(cls, layer: Module) -> LayerModule:
        """The script module of a layer."""
        made: LayerModule = cls._made(Program(), {}, {}, type(layer).__name__)
        made.__dict__["_layer"] = layer
        for name in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training"):
            made.__dict__[name] = layer.__dict__[name]
        given = [
            Parameter(each.name, "Any", None if each.default is each.empty else ["const", None])
            for each in inspect.signature(layer.forward).parameters.values()
        ]
        call: IR = ["module", ["local", "self"], [["local", each.name] for each in given], {}]
        made.__dict__["_functions"] = {"forward": Function("forward", given, None, [["return", 0, call]])}
        return made

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the layer."""
        return self.__dict__["_layer"](*args, **kwargs)

    def train(self, mode: bool = True) -> Any:
        """As the layer's."""
        self.__dict__["_layer"].train(mode)
        return super().train(mode)

    def __getattr__(self, name: str) -> Any:
        layer = self.__dict__.get("_layer")
        if layer is not None and name in vars(layer) and not name.startswith("_"):
            return vars(layer)[name]
        return super().__getattr__(name)


def _bound(module: RecursiveScriptModule, name: str) -> Any:
    """A method of a module, ready to be called."""
    return functools.partial(module._run, name)
