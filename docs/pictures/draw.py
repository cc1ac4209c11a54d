#!/usr/bin/env python3
"""Draws the pictures of this folder: `python docs/pictures/draw.py`.

Each picture is one function. Colours are variables of the picture's own style sheet, which has a dark half; the site
sets them anew where a reader has chosen the other one.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from xml.sax.saxutils import escape

LIGHT = (
    "--ink:#1f2328 --soft:#59636e --line:#9aa4af --paper:#f6f8fa "
    "--a:#bfdbfe --b:#fde68a --c:#bbf7d0 --d:#fbcfe8 --bad:#f87171"
)
DARK = (
    "--ink:#e6edf3 --soft:#9da7b3 --line:#6e7781 --paper:#1c2128 "
    "--a:#1e4b8f --b:#7a5b0b --c:#17603a --d:#7d2a5a --bad:#b91c1c"
)

STYLE = f"""
.picture{{{LIGHT.replace(" ", ";")}}}
@media (prefers-color-scheme:dark){{.picture{{{DARK.replace(" ", ";")}}}}}
.picture text{{font:14px system-ui,sans-serif;fill:var(--ink)}}
.picture .small{{font-size:12px;fill:var(--soft)}}
.picture .middle{{text-anchor:middle}}
.picture .right{{text-anchor:end}}
.picture .box{{stroke:var(--line);stroke-width:1}}
.picture .wire{{stroke:var(--soft);stroke-width:1.5;fill:none}}
.picture .head{{fill:var(--soft)}}
""".strip()


class Picture:
    """What is drawn, in pixels from the top left.

    Args:
        title: said to who cannot see it.
    """

    def __init__(self, width: int, height: int, title: str) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="picture" role="img" viewBox="0 0 {width} {height}"'
            f' width="{width}" height="{height}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
        ]

    def box(
        self, x: float, y: float, width: float, height: float, text: str = "", fill: str = "paper"
    ) -> None:
        """A rectangle with text in its middle; lines are parted by newlines."""
        self._parts.append(
            f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"'
            f' style="fill:var(--{fill})"/>'
        )
        lines = text.split("\n") if text else []
        for number, line in enumerate(lines):
            middle = y + height / 2 + 5 + 17 * (number - (len(lines) - 1) / 2)
            self.text(x + width / 2, middle, line, "middle")

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """A line of text; ``kind``: any of "small", "middle", "right"."""
        self._parts.append(f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>')

    def arrow(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """A straight arrow."""
        length = ((to_x - x) ** 2 + (to_y - y) ** 2) ** 0.5
        along, across = (
            ((to_x - x) / length, (to_y - y) / length),
            (-(to_y - y) / length, (to_x - x) / length),
        )
        back = (to_x - 8 * along[0], to_y - 8 * along[1])
        corners = [(back[0] + side * across[0], back[1] + side * across[1]) for side in (4, -4)]
        head = " ".join(f"{px:.1f},{py:.1f}" for px, py in [(to_x, to_y), *corners])
        self.line(x, y, *back)
        self._parts.append(f'<polygon class="head" points="{head}"/>')

    def line(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """A straight line."""
        self._parts.append(f'<path class="wire" d="M{x:.1f} {y:.1f}L{to_x:.1f} {to_y:.1f}"/>')

    def source(self) -> str:
        """The file."""
        return "\n".join([*self._parts, "</svg>"]) + "\n"


COLOURS = "abcd"


def step() -> Picture:
    """One step on two ranks."""
    picture = Picture(
        760, 190, "One step: two ranks with equal weights, different samples, and averaged gradients"
    )
    for rank in range(2):
        y = 30 + 90 * rank
        picture.text(4, y + 33, f"rank {rank}")
        widths = (("same\nweights", 76), ("its part of\nthe batch", 96), ("forward", 76), ("backward", 84))
        x = 64.0
        for number, (name, width) in enumerate(widths):
            picture.box(x, y, width, 56, name, COLOURS[rank] if number == 1 else "paper")
            x += width
            picture.arrow(x, y + 28, x + 18, y + 28)
            x += 18
        picture.arrow(590, y + 28, 608, y + 28)
        picture.box(608, y, 60, 56, "step")
        picture.arrow(668, y + 28, 684, y + 28)
        picture.box(684, y, 72, 56, "same\nweights")
    picture.box(468, 30, 122, 146, "average of\nthe gradients", "c")
    picture.text(529, 20, "the only meeting", "small middle")
    return picture


def buckets() -> Picture:
    """Backward and the all-reduce of each bucket, on one axis of time."""
    picture = Picture(760, 236, "Buckets travel while the backward pass goes on; the last one is exposed")
    layers = ["layer 4", "layer 3", "layer 2", "layer 1"]
    picture.text(0, 20, "All gradients at the end")
    for number, name in enumerate(layers):
        picture.box(110 + 95 * number, 32, 95, 30, name)
    picture.box(490, 68, 190, 30, "all-reduce", "bad")
    picture.text(0, 52, "computes", "small")
    picture.text(0, 88, "communicates", "small")
    picture.text(0, 134, "In buckets, last layer first")
    for number, name in enumerate(layers):
        picture.box(110 + 95 * number, 146, 95, 30, name)
    for number in range(3):
        picture.box(205 + 95 * number, 182, 47.5, 30, str(number), "c")
    picture.box(490, 182, 47.5, 30, "3", "bad")
    picture.text(0, 166, "computes", "small")
    picture.text(0, 202, "communicates", "small")
    picture.text(205, 230, "hidden behind backward", "small")
    picture.text(490, 230, "exposed", "small")
    picture.arrow(545, 118, 680, 118)
    picture.text(612, 112, "time", "small middle")
    return picture


def shared() -> Picture:
    """A bucket in memory that four ranks have together."""
    picture = Picture(
        760, 250, "Four ranks' gradients side by side in shared memory; each rank adds up one column"
    )
    picture.text(110, 18, "one bucket of gradients, in memory that all four processes have mapped", "small")
    for rank in range(4):
        picture.text(0, 55 + 40 * rank, f"rank {rank}'s row")
        for part in range(4):
            picture.box(110 + 130 * part, 32 + 40 * rank, 124, 34, f"slice {part}", COLOURS[part])
    for part in range(4):
        picture.arrow(172 + 130 * part, 193, 172 + 130 * part, 212)
        picture.text(172 + 130 * part, 230, f"rank {part} adds up", "small middle")
    picture.text(640, 100, "... and writes", "small")
    picture.text(640, 116, "the sum back", "small")
    picture.text(640, 132, "to all four rows.", "small")
    picture.text(640, 156, "Nothing is sent.", "small")
    return picture


def tree() -> Picture:
    """Eight shards, summed in one tree by any number of ranks."""
    picture = Picture(
        760, 268, "One tree of sums over eight shards, whichever rank computes which part of it"
    )
    places = [40 + 92 * number for number in range(8)]
    for number, x in enumerate(places):
        picture.box(x, 20, 72, 28, f"shard {number}", "paper")
    level, y = [x + 36 for x in places], 48
    while len(level) > 1:
        above = []
        for left, right in zip(level[::2], level[1::2], strict=True):
            middle = (left + right) / 2
            for x in (left, right):
                picture.line(x, y, middle, y + 22)
            picture.box(middle - 12, y + 22, 24, 20, "+", "c")
            above.append(middle)
        level, y = above, y + 42
    for row, ranks in enumerate((1, 2, 4)):
        width = 716 / ranks
        for rank in range(ranks):
            name = f"rank {rank}" if ranks > 1 else "one process"
            picture.box(40 + width * rank, 190 + 26 * row, width - 6, 22, name, COLOURS[rank])
    return picture


def memory() -> Picture:
    """What four ranks of one machine keep, in units of the parameters."""
    picture = Picture(760, 240, "Memory of one machine with four ranks and Adam, in units of the parameters")
    rows = [
        ("DistributedDataParallel", 4, 4, 8),
        ("ZeroRedundancyOptimizer", 4, 4, 2),
        ("shard_optimizer=True", 2, 5, 2),
        ("fully_shard", 1, 1, 2),
    ]
    for row, (name, *parts) in enumerate(rows):
        y, x = 36 + 44 * row, 200.0
        picture.text(190, y + 20, name, "right")
        for colour, part in zip(COLOURS, parts, strict=False):
            picture.box(x, y, 32 * part, 30, str(part), colour)
            x += 32 * part
        picture.text(
            x + 8,
            y + 20,
            str(sum(parts)) + (" and what is on its way" if name == "fully_shard" else ""),
            "small",
        )
    for number, name in enumerate(("parameters", "gradients", "Adam's state")):
        picture.box(200 + 150 * number, 214, 16, 16, "", COLOURS[number])
        picture.text(222 + 150 * number, 227, name, "small")
    picture.text(200, 22, "for the whole machine, in units of the parameters", "small")
    return picture


def machines() -> Picture:
    """Two machines: sums in shared memory first, then slices over the network."""
    picture = Picture(
        760,
        216,
        "Ranks of a machine add up in shared memory; each exchanges one slice with the other machine",
    )
    for machine in range(2):
        x = 10 + 440 * machine
        picture.box(x, 10, 300, 190)
        picture.text(x + 150, 30, f"machine {machine}", "middle")
        for rank in range(2):
            picture.box(x + 20 + 140 * rank, 42, 120, 30, f"rank {2 * machine + rank}")
            picture.arrow(x + 80 + 140 * rank, 72, x + 80 + 140 * rank, 90)
        picture.box(x + 20, 90, 260, 30, "sum of this machine's ranks", "c")
        for part in range(2):
            picture.box(
                x + 20 + 130 * part,
                140,
                130,
                44,
                f"slice {part}\nby rank {2 * machine + part}",
                COLOURS[part],
            )
        picture.line(x + 150, 120, x + 150, 140)
    for y in (152, 172):
        picture.arrow(290, y, 470, y)
        picture.arrow(470, y, 290, y)
    picture.text(380, 140, "MPI, each byte once", "small middle")
    return picture


PICTURES: tuple[Callable[[], Picture], ...] = (step, buckets, shared, tree, memory, machines)


def draw() -> dict[str, str]:
    """The files' names and contents."""
    return {f"{picture.__name__}.svg": picture().source() for picture in PICTURES}


if __name__ == "__main__":
    for name, content in draw().items():
        (pathlib.Path(__file__).parent / name).write_text(content)
