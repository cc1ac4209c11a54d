"""What the page's sections are made of."""

from __future__ import annotations

from collections.abc import Sequence

from distrt.pictures.step import KIND_TITLES
from distrt.pictures.svg import Markup, tag

__all__ = ["figures", "legend", "section", "table"]


def section(title: str, lead: str, *content: str, name: str) -> Markup:
    """A part of the page with its heading and, under it, a sentence that says what is seen; ``name`` is its id."""
    return tag(
        "section",
        tag("h2", title, id=name),
        *([tag("p", lead, class_="lead")] if lead else []),
        *content,
        aria_labelledby=name,
    )


def legend(kinds: Sequence[str]) -> Markup:
    """What colours mean."""
    entries = [tag("li", tag("i", class_=f"key {kind}"), KIND_TITLES[kind]) for kind in kinds]
    return tag("ul", *entries, class_="legend")


def figures(table: str) -> Markup:
    """A picture's table, which opens when it is asked for, and on paper."""
    return tag("details", tag("summary", "Figures"), table)


def table(
    heading: Sequence[str], rows: Sequence[Sequence[str]], mark: str | None = None, class_: str | None = None
) -> Markup:
    """Rows under a heading; the first cell of each names it, and the row ``mark`` stands out."""
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            *(tag("td", cell) for cell in row[1:]),
            class_="mark" if mark is not None and row[0] == mark else None,
        )
        for row in rows
    ]
    head = (
        [tag("thead", tag("tr", *(tag("th", each, scope="col") for each in heading)))] if any(heading) else []
    )
    return tag("div", tag("table", *head, tag("tbody", *body), class_=class_), class_="scroll")
