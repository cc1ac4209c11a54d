"""Curves over the time of a run, its timeline, who waited for whom, and where time went: SVG in one style."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from distrt.pictures.svg import Markup, describe, stripes, tag
from launch.page.formats import duration, significant

__all__ = ["Band", "Mark", "curves", "heat", "shares", "timeline"]

WIDTH, LEFT, RIGHT = 960.0, 64.0, 12.0
_PLOT = 150.0


@dataclass(frozen=True)
class Mark:
    """A moment that all charts show: ``kind`` is "failure" or "restart"."""

    at: float
    kind: str
    label: str


@dataclass(frozen=True)
class Band:
    """A curve: (time, value, lowest, highest); pieces are not joined with one another."""

    pieces: Sequence[Sequence[tuple[float, float, float, float]]]
    colour: str = "backward"


def _across(begin: float, end: float) -> Callable[[float], float]:
    scale = (WIDTH - LEFT - RIGHT) / max(end - begin, 1e-9)
    return lambda at: LEFT + (min(max(at, begin), end) - begin) * scale


def _svg(name: str, height: float, *parts: str) -> Markup:
    drawn = tag(
        "svg",
        *map(Markup, parts),
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="chart",
    )
    return tag("figure", drawn)  # which a small screen can push sideways


def curves(
    name: str,
    title: str,
    band: Band,
    span: tuple[float, float],
    marks: Sequence[Mark],
    shown: Callable[[float], str] = significant,
    from_zero: bool = True,
) -> Markup:
    """One curve with what lies around it, over the time of the run."""
    points = [point for piece in band.pieces for point in piece]
    low, high = min(p[2] for p in points), max(p[3] for p in points)
    low = min(low, 0.0) if from_zero else low
    if high - low < 1e-12 * max(1.0, abs(high)):
        high, low = high + max(abs(high), 1.0) * 0.1, low - (0.0 if from_zero else max(abs(low), 1.0) * 0.1)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    top, bottom = 10.0, 10.0 + _PLOT
    x = _across(*span)

    def y(value: float) -> float:
        return bottom - (value - low) / (high - low) * _PLOT

    last = points[-1]
    parts: list[str] = [
        describe(
            title,
            f"from {shown(points[0][1])} to {shown(last[1])}, lowest {shown(low)}, highest {shown(high)}",
            name,
        )
    ]
    for tick in ticks:
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(tag("text", shown(tick), x=LEFT - 8, y=y(tick) + 4, class_="tick end"))
    parts += _times(span, x, bottom)
    parts += _marked(marks, x, top, bottom)
    for piece in band.pieces:
        if not piece:
            continue
        upper = [f"{x(t):.1f},{y(h):.1f}" for t, _, _, h in piece]
        lower = [f"{x(t):.1f},{y(lo):.1f}" for t, _, lo, _ in reversed(piece)]
        if any(h > lo for _, _, lo, h in piece):
            parts.append(
                tag("polygon", points=" ".join(upper + lower), style=f"fill:var(--{band.colour});opacity:.18")
            )
        line = " ".join(f"{x(t):.1f},{y(v):.1f}" for t, v, _, _ in piece)
        if len(piece) == 1:
            parts.append(
                tag("circle", cx=x(piece[0][0]), cy=y(piece[0][1]), r=2.5, style=f"fill:var(--{band.colour})")
            )
        parts.append(tag("polyline", points=line, class_="line", style=f"stroke:var(--{band.colour})"))
    return _svg(name, bottom + 24, *parts)


def timeline(
    name: str,
    rows: Sequence[tuple[str, Sequence[tuple[float, float, str, str]]]],
    span: tuple[float, float],
    marks: Sequence[Mark],
) -> Markup:
    """Bars on the time axis: for each row (from, to, colour, label), and what failed or started again."""
    x = _across(*span)
    row, top = 22.0, 24.0 if marks else 8.0
    bottom = top + row * len(rows) + 4
    told = "; ".join(f"{label}: {', '.join(bar[3] for bar in bars)}" for label, bars in rows)
    parts: list[str] = [describe("Attempts, restarts and failures", told[:2000], name)]
    parts += _times(span, x, bottom)
    for number, (label, bars) in enumerate(rows):
        at = top + number * row
        parts.append(tag("text", label, x=0, y=at + 13, class_="tick"))
        for begin, end, colour, words in bars:
            inner = [
                tag("title", words),
                tag(
                    "rect",
                    x=x(begin),
                    y=at + 3,
                    width=max(x(end) - x(begin), 2.0),
                    height=row - 8,
                    rx=3,
                    style=f"fill:var(--{colour})",
                ),
            ]
            parts.append(tag("g", *inner))
    parts += _marked(marks, x, top - 6, bottom, says=True)
    return _svg(name, bottom + 24, *parts)


def heat(
    name: str,
    rows: Mapping[int, Sequence[float | None]],
    span: tuple[float, float],
    whole: tuple[float, float],
) -> Markup:
    """How much each rank waited, over time: dark is its own work, light is waiting."""
    x = _across(*whole)
    row = 20.0 if len(rows) <= 24 else 480.0 / len(rows)
    bottom = 6 + row * len(rows)
    told = "; ".join(
        f"rank {rank}: waited {_mean(each)} of the time" for rank, each in list(rows.items())[:16]
    )
    parts: list[str] = [describe("Who waited", told, name)]
    every = max(1, len(rows) // 24)
    for number, (rank, cells) in enumerate(rows.items()):
        top = 6 + number * row
        if number % every == 0:
            parts.append(tag("text", f"rank {rank}", x=0, y=top + row / 2 + 4, class_="tick"))
        width = (span[1] - span[0]) / max(1, len(cells))
        for place, share in enumerate(cells):
            if share is None:
                continue
            left, right = x(span[0] + place * width), x(span[0] + (place + 1) * width)
            parts.append(
                tag(
                    "rect",
                    x=left,
                    y=top,
                    width=max(0.2, right - left + 0.3),
                    height=row - (2 if row > 8 else 0),
                    style=f"fill:color-mix(in srgb,var(--panel2) {100 * share:.0f}%,var(--backward))",
                )
            )
    parts += _times(whole, x, bottom)
    return _svg(name, bottom + 24, *parts)


def shares(
    name: str,
    rows: Sequence[tuple[str, Sequence[tuple[str, str, float]]]],
    title: str,
    mark: str | None = None,
) -> Markup:
    """Bars of equal scale made of parts: for each row (kind, title, seconds)."""
    longest = max((sum(part[2] for part in parts) for _, parts in rows), default=0.0) or 1.0
    scale = (WIDTH - LEFT - 88) / longest
    row = 30.0
    told = "; ".join(
        f"{label}: {', '.join(f'{words} {duration(spent)}' for _, words, spent in parts)}"
        for label, parts in rows
    )
    drawn: list[str] = [describe(title, told[:2000], name), stripes(name)]
    for number, (label, parts) in enumerate(rows):
        top, left = 4 + number * row, LEFT
        weight = 700 if label == mark else 400
        drawn.append(tag("text", label, x=0, y=top + 15, class_="label", font_weight=weight))
        for kind, words, spent in parts:
            width = spent * scale
            if width < 0.2:
                continue
            fill = f"url(#{name}-idle)" if kind == "waiting" else f"var(--{kind})"
            drawn.append(
                tag(
                    "g",
                    tag("title", f"{words}: {duration(spent)}"),
                    tag(
                        "rect",
                        x=left,
                        y=top,
                        width=width,
                        height=22,
                        style=f"fill:{fill};stroke:var(--paper)",
                    ),
                )
            )
            left += width
        total = sum(part[2] for part in parts)
        drawn.append(tag("text", duration(total), x=left + 8, y=top + 15, class_="tick"))
    return _svg(name, 4 + row * len(rows), *drawn)


def _marked(
    marks: Sequence[Mark], x: Callable[[float], float], top: float, bottom: float, says: bool = False
) -> list[str]:
    found: list[str] = []
    free = -1e9
    for mark in sorted(marks, key=lambda each: each.at)[:60]:
        at = x(mark.at)
        found.append(
            tag("line", tag("title", mark.label), x1=at, x2=at, y1=top, y2=bottom, class_=f"mark {mark.kind}")
        )
        width = 6.2 * len(mark.label)
        left = min(max(at - width / 2, LEFT), WIDTH - RIGHT - width)
        if says and left > free:
            found.append(tag("text", mark.label, x=left, y=top - 4, class_=f"tick {mark.kind}"))
            free = left + width + 10
    return found


def _times(span: tuple[float, float], x: Callable[[float], float], bottom: float) -> list[str]:
    begin, end = span
    step = _time_step((end - begin) / 7)
    found: list[str] = [tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis")]
    at, number = begin, 0
    while at <= end + 1e-9 and number < 20:
        found.append(tag("line", x1=x(at), x2=x(at), y1=bottom, y2=bottom + 4, class_="axis"))
        label = "0" if number == 0 else duration(at - begin).replace(" 0 s", "").replace(" 0 min", "")
        found.append(tag("text", label, x=x(at), y=bottom + 17, class_="tick middle" if number else "tick"))
        number += 1
        at = begin + number * step
    return found


def _time_step(length: float) -> float:
    """A round length of time that is at least so long."""
    for each in (
        0.001,
        0.002,
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        2,
        5,
        10,
        15,
        30,
        60,
        120,
        300,
        600,
        900,
        1800,
    ):
        if each >= length:
            return each
    for each in (1, 2, 3, 6, 12, 24, 48, 96, 168):
        if each * 3600 >= length:
            return each * 3600.0
    return math.ceil(length / 604800) * 604800.0


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that span the range."""
    if not (high > low):
        return [low, low + 1.0]
    power = 10.0 ** math.floor(math.log10((high - low) / 4))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power * 4.001 >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _mean(cells: Sequence[float | None]) -> str:
    known = [each for each in cells if each is not None]
    return f"{100 * sum(known) / len(known):.0f} %" if known else "an unknown part"
