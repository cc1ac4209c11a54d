"""Puts SVG pictures into the page itself, where the page's style sheet reaches them (light and dark)."""

from __future__ import annotations

import pathlib
import re
from typing import Any

from docutils import nodes

_COLOURS = re.compile(r"\.picture\{(--[^}]*)\}")


def inline_pictures(app: Any, tree: nodes.document, page: str) -> None:
    """Replaces each ``![...](pictures/x.svg)`` by the file's content."""
    folder = pathlib.Path(app.srcdir, page).parent
    for image in list(tree.findall(nodes.image)):
        path = folder / image["uri"]
        if not path.is_file():
            path = pathlib.Path(app.srcdir, image["uri"])
        if path.suffix == ".svg":
            source = path.read_text()
            image.replace_self(nodes.raw("", source + _themes(source), format="html"))


def _themes(picture: str) -> str:
    """The picture's two sets of colours, for who has chosen one on the page; without a choice, the system's holds."""
    light, dark = _COLOURS.findall(picture)
    return "<style>{}</style>".format(
        "".join(
            f'body[data-theme="{name}"] .picture{{{colours}}}'
            for name, colours in (("light", light), ("dark", dark))
        )
    )


def setup(app: Any) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("doctree-resolved", inline_pictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
