"""The page's style sheet: the colours of all pictures, and page.css."""

from importlib.resources import files

from distrt.pictures.svg import Markup, variables

__all__ = ["style_sheet"]


def style_sheet() -> Markup:
    """All of it."""
    layout = files("launch.page").joinpath("page.css").read_text(encoding="utf-8")
    night = f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {variables(True)} }} }}"
    return Markup(f":root {{ color-scheme: light dark; {variables(False)} }}\n{night}\n{layout}")
