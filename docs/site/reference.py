"""The API reference: ``.. names:: MODULE`` lists what a module has, and docstrings are read as this house writes them.

A docstring here is Google style with double backticks, and text that is no markup: ``*args``, ``x_``, ``|``.
"""

from __future__ import annotations

import enum
import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from distrt.core.tensors.names import FUNCTIONS

#: Sections whose lines are "name: what it is".
_LISTS = {"Args": "Arguments", "Attributes": "Attributes", "Raises": "Raises"}
_LIST = re.compile(r"(Args|Attributes|Raises):$")
_ITEM = re.compile(r"([^\s:][^:]*):(?: +(.*))?$")
_CODE = re.compile(r"(``.+?``|`[^`]+`)")
_MARKUP = re.compile(r"([*|\\`]|(?<=\w)_(?!\w))")


class Names(SphinxDirective):
    """Documents the names of a module.

    Those in the content; without, those of the ``:families:`` of operations; without these, all that the module offers
    but those after ``:but:``. ``:members:`` shows classes with their methods.
    """

    has_content = True
    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {
        "but": str.split,
        "families": str.split,
        "members": lambda _: True,
    }

    def run(self) -> list[nodes.Node]:
        """The nodes in place of the directive."""
        place = self.arguments[0]
        module = importlib.import_module(place)
        names = " ".join(self.content).split() or _of_families(self.options.get("families", ()))
        names = names or sorted(public_names(module) - _set_apart(place) - set(self.options.get("but", ())))
        lines = [line for name in names for line in self._entry(place, name, getattr(module, name))]
        section = nodes.section()
        section.document = self.state.document
        self.state.nested_parse(StringList(lines, source=place), 0, section)
        return section.children

    def _entry(self, place: str, name: str, value: Any) -> list[str]:
        if inspect.isclass(value):
            lines = [f".. autoclass:: {place}.{name}"]
            if issubclass(value, enum.Enum):
                lines += ["   :members:", "   :undoc-members:"]
            elif "members" in self.options:
                lines += ["   :members:"]
        elif callable(value):
            lines = [f".. autofunction:: {place}.{name}"]
        else:
            lines = [f".. autodata:: {place}.{name}", "   :no-value:"]
        return [*lines, ""]


def _of_families(families: Iterable[str]) -> list[str]:
    return sorted(name for family in families for name in FUNCTIONS[family].split())


def _set_apart(place: str) -> set[str]:
    """What the list of all of ``distrt`` leaves out: what stands under its family, and in-place forms."""
    if place != "distrt":
        return set()
    return {
        *_of_families(FUNCTIONS),
        *(name for name in public_names(importlib.import_module(place)) if name.endswith("_")),
    }


def public_names(module: Any) -> set[str]:
    """What a module offers: functions, classes and values, but no modules."""
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    return {name for name in names if not inspect.ismodule(getattr(module, name, None))}


def read_docstring(lines: Iterable[str]) -> Iterator[str]:
    """reStructuredText of a docstring's lines."""
    section, is_open, in_code = "", True, False
    for line in lines:
        stripped = line.strip()
        if not stripped:
            is_open = True
            yield ""
        elif _LIST.match(line):
            section = _LISTS[line.rstrip(":")]
            yield from ("", f"**{section}**", "")
            is_open = True
        elif section and line.startswith("    "):
            found = _ITEM.match(stripped) if not line.startswith("     ") else None
            if found:
                yield from ("", f"* ``{found[1]}``: {escaped(found[2] or '')}".rstrip())
            else:
                yield f"  {escaped(stripped)}"
        elif line.startswith("    ") and (is_open or in_code):
            if not in_code:
                yield from (".. code-block:: python", "")
            in_code = True
            yield line
        else:
            if section or in_code:
                yield ""
            section, in_code, is_open = "", False, False
            yield escaped(stripped)


def escaped(text: str) -> str:
    """Text with its code marked as code, and nothing else as markup."""
    parts = _CODE.split(text)
    return "".join(
        f"``{part.strip('`')}``" if number % 2 else _MARKUP.sub(r"\\\1", part)
        for number, part in enumerate(parts)
    )


def _process(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = list(read_docstring(list(lines)))


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.add_directive("names", Names)
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
