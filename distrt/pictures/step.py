"""One picture of a distributed step: what each rank did, when gradients travelled, and what of that held it up."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from distrt.pictures.svg import STYLE, Markup, describe, stripes, tag

__all__ = [
    "KIND_TITLES",
    "Communication",
    "Lane",
    "Span",
    "Travel",
    "communication",
    "draw_step",
    "title_of",
]

#: Kinds of `distrt.core.process.activity`, and the rest, in the order of a step.
KIND_TITLES = {
    "data": "loading data",
    "forward": "forward",
    "backward": "backward",
    "optimizer": "optimizer",
    "checkpoint": "checkpoint",
    "script": "the script itself",
    "waiting": "waiting",
}
_WIDTH, _GUTTER, _RIGHT = 960.0, 74.0, 96.0
_TOP, _BUSY, _TRAVEL, _GAP, _BETWEEN = 62.0, 28.0, 16.0, 3.0, 18.0
_MOST_LANES = 8


@dataclass(frozen=True)
class Span:
    """Something of a kind, from ``begin`` to ``end``, in seconds."""

    kind: str
    begin: float
    end: float


@dataclass(frozen=True)
class Travel:
    """A call of a group, from its launch to its end, in seconds.

    Attributes:
        key: which call of which group: the same on all ranks.
    """

    name: str
    begin: float
    end: float
    nbytes: int = 0
    key: tuple[int, int] = (0, 0)


@dataclass
class Lane:
    """A rank's part in a step."""

    rank: int
    begin: float
    end: float
    spans: list[Span] = field(default_factory=list)
    travels: list[Travel] = field(default_factory=list)


def draw_step(lanes: Sequence[Lane], title: str, name: str = "step", is_alone: bool = True) -> Markup:
    """The picture, as SVG.

    Args:
        lanes: the ranks'; of more than eight, those that are told apart best are shown.
        title: what it is a picture of.
        name: makes its ids unique.
        is_alone: whether it brings its colours, as a file of its own does.

    Raises:
        ValueError: there is no lane.
    """
    if not lanes:
        raise ValueError("a picture of a step needs at least one rank's part")
    shown = _chosen(lanes)
    begin, end = min(lane.begin for lane in shown), max(lane.end for lane in shown)
    scale = (_WIDTH - _GUTTER - _RIGHT) / max(end - begin, 1e-9)
    row = _BUSY + _GAP + _TRAVEL + _BETWEEN
    below = _TOP + row * len(shown) + 40
    legend, height = _legend(shown, below, name)

    def x(moment: float) -> float:
        return _GUTTER + (moment - begin) * scale

    parts: list[str] = [describe(title, _described(lanes), name)]
    if is_alone:
        parts.append(tag("style", STYLE))
        parts.append(
            tag("rect", x=-16, y=-8, width=_WIDTH + 32, height=height + 16, style="fill:var(--paper)")
        )
    parts.append(stripes(name))
    parts += _headline(lanes, title, len(shown))
    parts += _grid(end - begin, x, begin, _TOP - 4, _TOP + row * len(shown) - _BETWEEN + 6)
    for number, lane in enumerate(shown):
        parts += _lane(lane, _TOP + row * number, x, name)
    parts += legend
    return tag(
        "svg",
        *map(Markup, parts),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"-16 -8 {_WIDTH + 32:.0f} {height + 16:.0f}"
        if is_alone
        else f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="picture",
    )


class Communication(NamedTuple):
    """Seconds of communication that held a rank up, and of all of it."""

    exposed_s: float
    total_s: float

    @property
    def hidden_percent(self) -> float | None:
        """How much of it went on while something else did; None where there was none."""
        return None if self.total_s <= 0 else 100 * (1 - self.exposed_s / self.total_s)


def communication(lane: Lane) -> Communication:
    """What a rank's communication in a step cost it."""
    travelling = _union((each.begin, each.end) for each in lane.travels)
    waiting = _union((each.begin, each.end) for each in lane.spans if each.kind == "waiting")
    return Communication(
        sum(end - begin for begin, end in _common(travelling, waiting)),
        sum(end - begin for begin, end in travelling),
    )


def title_of(step: int | None) -> str:
    """What a picture of a profile's step is called; None for the last."""
    return "The last step" if step is None else f"Step {step} of those recorded"


def _chosen(lanes: Sequence[Lane]) -> list[Lane]:
    """Of many lanes, the ones that waited least and most, and the first."""
    ordered = sorted(lanes, key=lambda lane: lane.rank)
    if len(ordered) <= _MOST_LANES:
        return ordered
    by_wait = sorted(
        ordered, key=lambda lane: sum(s.end - s.begin for s in lane.spans if s.kind == "waiting")
    )
    kept = {id(lane) for lane in (*by_wait[:4], *by_wait[-3:], ordered[0])}
    return [lane for lane in ordered if id(lane) in kept]


def _described(lanes: Sequence[Lane]) -> str:
    told = []
    for lane in sorted(lanes, key=lambda lane: lane.rank)[:_MOST_LANES]:
        spent = own_times(lane)
        words = ", ".join(f"{KIND_TITLES.get(kind, kind)} {_ms(each)}" for kind, each in spent.items())
        told.append(f"rank {lane.rank}: {words}")
    return "; ".join(told)


def own_times(lane: Lane) -> dict[str, float]:
    """Seconds of each kind, without what is within; what is none is the script's."""
    spent: dict[str, float] = {}
    for kind, begin, end in _flat(lane):
        spent[kind] = spent.get(kind, 0.0) + end - begin
    return {kind: spent[kind] for kind in KIND_TITLES if spent.get(kind)}


def _headline(lanes: Sequence[Lane], title: str, shown: int) -> list[str]:
    told = zip(*map(communication, lanes), strict=True)
    of_all = Communication(*(sum(each) / len(lanes) for each in told))
    if of_all.hidden_percent is None:
        big, small = "no communication", "nothing was exchanged between ranks in this step"
    else:
        big = f"{of_all.hidden_percent:.0f} % of communication hidden"
        small = f"{_ms(of_all.total_s)} of communication a rank, of which {_ms(of_all.exposed_s)} held it up"
    extra = "" if shown == len(lanes) else f", {shown} of {len(lanes)} ranks"
    return [
        tag("text", big, x=0, y=20, font_size=17, font_weight=650, style="fill:var(--ink)"),
        tag("text", f"{title}{extra}: {small}", x=0, y=40, font_size=12, style="fill:var(--soft)"),
    ]


def _grid(length: float, x: object, begin: float, top: float, bottom: float) -> list[str]:
    parts: list[str] = []
    assert callable(x)
    step = _nice(length / 8)
    count = int(length / step + 1e-9) + 1
    for number in range(count):
        at = x(begin + number * step)
        parts.append(
            tag("line", x1=at, x2=at, y1=top, y2=bottom, style="stroke:var(--faint)", stroke_width=1)
        )
        label = f"{1e3 * number * step:g}" + (" ms" if number == count - 1 else "")
        parts.append(
            tag(
                "text",
                label,
                x=at,
                y=bottom + 15,
                font_size=11,
                text_anchor="middle",
                style="fill:var(--soft)",
            )
        )
    return parts


def _lane(lane: Lane, top: float, x: object, name: str) -> list[str]:
    assert callable(x)
    middle = top + _BUSY / 2 + 4
    parts: list[str] = [
        tag("text", f"rank {lane.rank}", x=0, y=middle, font_size=13, font_weight=600),
        tag(
            "text",
            "exchange",
            x=0,
            y=top + _BUSY + _GAP + _TRAVEL - 4,
            font_size=11,
            style="fill:var(--soft)",
        ),
    ]
    for kind, begin, end in _flat(lane):
        parts += _bar(kind, x(begin), x(end), top, f"{KIND_TITLES.get(kind, kind)}, {_ms(end - begin)}", name)
    waiting = _union((each.begin, each.end) for each in lane.spans if each.kind == "waiting")
    below = top + _BUSY + _GAP
    for travel, begin, end in _in_turn(lane.travels):
        label = f"{travel.name}, {_ms(end - begin)}"
        left, width = x(begin), max(x(end) - x(begin), 1.0)
        inner: list[str] = [
            tag("title", label),
            tag("rect", x=left, y=below, width=width, height=_TRAVEL, rx=2, style="fill:var(--hidden)"),
        ]
        for since, until in _common([(begin, end)], waiting):
            inner.append(
                tag(
                    "rect",
                    x=x(since),
                    y=below,
                    width=max(x(until) - x(since), 0.5),
                    height=_TRAVEL,
                    rx=2,
                    style="fill:var(--exposed)",
                )
            )
        inner.append(
            tag(
                "rect",
                x=left,
                y=below,
                width=width,
                height=_TRAVEL,
                rx=2,
                style="fill:none;stroke:var(--paper)",
                stroke_width=1,
            )
        )
        parts.append(tag("g", *map(Markup, inner)))
    parts += _share(lane, top)
    return parts


def _share(lane: Lane, top: float) -> list[str]:
    right = {"x": _WIDTH, "text_anchor": "end"}
    length = _ms(lane.end - lane.begin)
    parts: list[str] = [
        tag("text", length, y=top + _BUSY / 2 + 4, font_size=12, style="fill:var(--soft)", **right)
    ]
    if (hidden := communication(lane).hidden_percent) is not None:
        at = top + _BUSY + _GAP + _TRAVEL - 4
        parts.append(tag("text", f"{hidden:.0f} % hidden", y=at, font_size=11, **right))
    return parts


def _bar(kind: str, left: float, right: float, top: float, label: str, name: str) -> list[str]:
    width = right - left
    if width < 0.15:
        return []
    fill = (
        f"url(#{name}-idle)" if kind == "waiting" else f"var(--{kind if kind in KIND_TITLES else 'script'})"
    )
    inner: list[str] = [
        tag("title", label),
        tag("rect", x=left, y=top, width=width, height=_BUSY, rx=2, style=f"fill:{fill}"),
    ]
    word = {"optimizer": "update", "checkpoint": "save", "script": "script", "data": "data"}.get(kind, kind)
    if width > 7.0 * len(word) + 8:
        colour = "#ffffff" if kind == "backward" else "var(--ink)" if kind == "waiting" else "#16191d"
        inner.append(
            tag(
                "text",
                word,
                x=left + 6,
                y=top + _BUSY / 2 + 4,
                font_size=11.5,
                font_weight=500,
                style=f"fill:{colour}",
            )
        )
    return [tag("g", *map(Markup, inner))]


def _legend(lanes: Sequence[Lane], top: float, name: str) -> tuple[list[str], float]:
    """What the colours mean, and where that ends."""
    present = {kind for lane in lanes for kind in own_times(lane)}
    entries = [(title, kind) for kind, title in KIND_TITLES.items() if kind in present]
    entries += [("communication, hidden", "hidden"), ("communication, exposed", "exposed")]
    parts: list[str] = []
    left, line = 0.0, top
    for title, kind in entries:
        width = 19 + 6.7 * len(title) + 14
        if left + width > _WIDTH:
            left, line = 0.0, line + 20
        fill = f"url(#{name}-idle)" if kind == "waiting" else f"var(--{kind})"
        parts.append(tag("rect", x=left, y=line - 10, width=13, height=13, rx=2.5, style=f"fill:{fill}"))
        parts.append(tag("text", title, x=left + 19, y=line + 1, font_size=12))
        left += width
    return parts, line + 10


def _flat(lane: Lane) -> list[tuple[str, float, float]]:
    """Who has the time at each moment: of spans within one another the innermost, else the script."""
    edges: list[tuple[float, int, int]] = []
    spans = sorted(lane.spans, key=lambda each: (each.begin, -each.end))
    for number, each in enumerate(spans):
        edges += [(each.begin, 1, number), (each.end, 0, number)]
    found: list[tuple[str, float, float]] = []
    running: list[int] = []
    since = lane.begin
    for at, begins, number in sorted(edges):
        moment = min(max(at, lane.begin), lane.end)
        if moment > since:
            found.append((spans[running[-1]].kind if running else "script", since, moment))
            since = moment
        if begins:
            running.append(number)
        elif number in running:
            running.remove(number)
    if lane.end > since:
        found.append(("script", since, lane.end))
    return found


def _in_turn(travels: Iterable[Travel]) -> list[tuple[Travel, float, float]]:
    """Each from when it could begin: those of a group go one after another."""
    found, free = [], 0.0
    for each in sorted(travels, key=lambda travel: (travel.begin, travel.end)):
        begin = min(max(each.begin, free), each.end)
        found.append((each, begin, each.end))
        free = max(free, each.end)
    return found


def _union(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    found: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _common(first: list[tuple[float, float]], second: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where both are: each is in order, and none of its stretches overlap."""
    both, one, other = [], 0, 0
    while one < len(first) and other < len(second):
        (begin, end), (since, until) = first[one], second[other]
        if (low := max(begin, since)) < (high := min(end, until)):
            both.append((low, high))
        if end <= until:
            one += 1
        else:
            other += 1
    return both


def _nice(length: float) -> float:
    """A round number of about this size: 1, 2 or 5 times a power of ten."""
    if length <= 0:
        return 1.0
    power = 1.0
    while power > length:
        power /= 10
    while power * 10 <= length:
        power *= 10
    return next(each * power for each in (1, 2, 5, 10) if each * power >= length * 0.999)


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
