"""Elements of SVG and HTML, escaped; colours that are told apart by everybody, by daylight and at night."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["PALETTE", "STYLE", "Markup", "describe", "number", "stripes", "tag", "text", "variables"]

#: What each colour means: (by daylight, at night). After Okabe and Ito, whose colours are told apart with every kind of
#: colour vision; what waits is grey, since nothing happens there.
#: Source: https://jfly.uni-koeln.de/color/
PALETTE: dict[str, tuple[str, str]] = {
    "ink": ("#1c2127", "#e8eaed"),
    "soft": ("#5b6470", "#a3acb8"),
    "faint": ("#d9dde3", "#3a414b"),
    "paper": ("#ffffff", "#15181d"),
    "panel": ("#f6f7f9", "#1d2127"),
    "data": ("#e69f00", "#f0b429"),
    "forward": ("#56b4e9", "#6cc1f0"),
    "backward": ("#0072b2", "#3a95d4"),
    "optimizer": ("#009e73", "#2bbf93"),
    "checkpoint": ("#c9b800", "#f0e442"),
    "script": ("#cc79a7", "#dd92bb"),
    "waiting": ("#c3c9d1", "#4a525e"),
    "hidden": ("#7fb8ad", "#4f9489"),
    "exposed": ("#d55e00", "#ff7d26"),
    "good": ("#00795a", "#2bbf93"),
    "bad": ("#b8420a", "#ff8a47"),
}


class Markup(str):
    """Text that is SVG or HTML already."""

    __slots__ = ()


def tag(name: str, *content: str, **attributes: object) -> Markup:
    """An element; ``class_`` and ``font_size`` are written class and font-size, and None leaves an attribute out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_escaped(_shown(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(map(text, content))
    return Markup(f"<{name}{written}>{inner}</{name}>")


def text(content: str) -> Markup:
    """What may stand in a document: markup as it is, all else escaped."""
    return content if isinstance(content, Markup) else Markup(_escaped(content))


def describe(title: str, description: str, name: str) -> Markup:
    """What a screen reader says of a picture; ``name`` is unique in the document."""
    return Markup(tag("title", title, id=f"{name}-title") + tag("desc", description, id=f"{name}-desc"))


def stripes(name: str) -> Markup:
    """What fills a bar that only waits, as ``url(#name-idle)``: it is seen without colour, too."""
    pattern = tag(
        "pattern",
        tag("rect", width=6, height=6, style="fill:var(--waiting);opacity:.45"),
        tag("line", x1=0, y1=0, x2=0, y2=6, style="stroke:var(--soft);opacity:.45", stroke_width=2),
        id=f"{name}-idle",
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
        patternTransform="rotate(45)",
    )
    return tag("defs", pattern)


def number(value: float) -> str:
    """A coordinate: two digits after the point, and none that say nothing."""
    return f"{value:.2f}".rstrip("0").rstrip(".") or "0"


def variables(night: bool) -> str:
    """The palette as CSS variables."""
    return "".join(f"--{name}:{colours[night]};" for name, colours in PALETTE.items())


#: Of a picture that stands alone; in a page, the page says it.
STYLE = Markup(
    f"svg{{{variables(False)}color-scheme:light dark}}"
    f"@media (prefers-color-scheme:dark){{svg{{{variables(True)}}}}}"
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:var(--ink)}"
)

# What XML cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES: Mapping[int, str] = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
)


def _escaped(content: str) -> str:
    return _FORBIDDEN.sub("\ufffd", content).translate(_ESCAPES)


def _shown(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
