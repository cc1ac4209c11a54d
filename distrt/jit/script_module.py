"""``ScriptModule``: modules whose methods are programs; they are called, trained, printed and saved."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NoReturn

from distrt.jit.interpreter import Runner
from distrt.jit.program import Function, Program
from distrt.jit.script_function import ScriptMethod, Storable
from distrt.nn.modules.container import ModuleDict, ModuleList, Sequential
from distrt.nn.modules.module import Module


class ScriptModule(Module, Storable):
    """The base of scripted and traced modules, for ``isinstance``.

    A class may also derive from it, with ``script_method`` on its methods, as scripts of 2018 do: its instances run as
    they are, and are compiled where they are saved, scripted, or part of what is.
    """


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
        )
        return made

    @property
    def forward(self) -> ScriptMethod:
        """The program's ``forward``.

        Raises:
            AttributeError: for a module that has none.
        """
        return self._method("forward")

    def _method(self, name: str) -> ScriptMethod:
        function = self.__dict__["_functions"].get(name)
        if function is None:
            raise AttributeError(f"'{self._get_name()}' object has no attribute '{name}'")
        return ScriptMethod(self, function)

    def _get_name(self) -> str:
        return "RecursiveScriptModule"

    @property
    def original_name(self) -> str:
        """The name of the class that this was made of."""
        return str(self.__dict__["_original_name"])

    @property
    def code(self) -> str:
        """``forward`` as Python text."""
        return self.forward.code

    @property
    def graph(self) -> str:
        """The statements of ``forward``, one a line, as text."""
        return self.forward.graph

    inlined_graph = graph

    @property
    def code_with_constants(self) -> tuple[str, dict[str, Any]]:
        """``forward`` as text, and the tensors that it names as constants."""
        return self.code, {f"c{n}": each for n, each in enumerate(self._program.constants)}

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
            return self._method(name)
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
        shared = ("_program", "_runner", "_functions")  # never changed
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
