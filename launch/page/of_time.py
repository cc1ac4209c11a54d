"""The sections on time: how the run went, and its curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from distrt.pictures.svg import Markup, tag
from launch.page import charts, over_time
from launch.page.formats import duration, plural, significant
from launch.page.parts import figures, section, table
from launch.page.run import Attempt, Run

__all__ = ["course", "curves", "own_numbers"]


_MOST_ROWS = 64
_MOST_NUMBERS = 12


def course(run: Run) -> Markup | None:
    """Attempts, restarts and failures on the time axis."""
    span = run.began, max(run.ended, run.began + 1e-3)
    rows = []
    for attempt in run.attempts:
        if attempt.began is None or attempt.ended is None:
            continue
        steps = max((record.last_step for record in attempt.ranks.values()), default=0)
        code = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
        words = f"attempt {attempt.number}: {duration(attempt.ended - attempt.began)}, to step {steps}{code}"
        colour = "optimizer" if attempt.exit_code == 0 else "exposed" if attempt.exit_code else "forward"
        rows.append((f"attempt {attempt.number}", [(attempt.began, attempt.ended, colour, words)]))
    if not rows:
        return None
    shown = rows[-_MOST_ROWS:]
    restarts = len(run.attempts) - 1
    lead = f"{plural(restarts, 'restart')}." if restarts > 0 else "One attempt, without a restart."
    cells = table(("attempt", "what"), [(name, bars[0][3].partition(": ")[2]) for name, bars in shown])
    return section(
        "Course", lead, charts.timeline("course", shown, span, _marks(run)), figures(cells), name="course-h"
    )


def curves(run: Run) -> Markup | None:
    """Loss, throughput and memory over time."""
    span = run.began, max(run.ended, run.began + 1e-3)
    marks = _marks(run)
    losses, rates, memories = [], [], []
    has_samples = any(
        each.samples
        for attempt in run.attempts
        for record in attempt.ranks.values()
        for each in record.stretches
    )
    for attempt in run.attempts:
        losses.append(over_time.joined([record.loss for record in attempt.ranks.values()], *span))
        rates.append(over_time.rate_of(attempt, *span, has_samples))
        memories.append(over_time.memory(attempt, *span))
    memories, unit_of_memory = _in_one_unit(memories)
    drawn: list[str] = []
    unit = "samples" if has_samples else "steps"
    for name, title, pieces, colour, shown, zero in (
        ("loss", "Loss", losses, "backward", significant, False),
        ("rate", f"Throughput, {unit} a second of all ranks", rates, "optimizer", significant, True),
        ("memory", f"Memory of a rank, {unit_of_memory}", memories, "script", significant, True),
    ):
        filled = [piece for piece in pieces if piece]
        if not filled:
            continue
        band = charts.Band(filled, colour)
        cells = table(("at", title), _rows_of(filled, run.began, shown))
        drawn += [
            tag("h3", title),
            charts.curves(f"c-{name}", title, band, span, marks, shown, zero),
            figures(cells),
        ]
    if not drawn:
        return None
    lead = "The line is the mean of the ranks, the shade spans them."
    if not any(losses):
        lead += " The loss is what dist.report(loss=…) says."
    return section("Curves", lead, *drawn, name="curves")


def _in_one_unit(pieces: list[list[over_time.Point]]) -> tuple[list[list[over_time.Point]], str]:
    """Bytes as the unit that suits the largest of them, so that round numbers of it are marked."""
    most = max((point[3] for piece in pieces for point in piece), default=0.0)
    power = 3 if most > 1 << 30 else 2
    scaled = [
        [(at, value / 1024**power, low / 1024**power, high / 1024**power) for at, value, low, high in piece]
        for piece in pieces
    ]
    return scaled, "GiB" if power == 3 else "MiB"


def own_numbers(run: Run) -> Markup | None:
    """What the script's writers have noted."""
    span = run.began, max(run.ended, run.began + 1e-3)
    names = list(
        dict.fromkeys(
            name for attempt in run.attempts for record in attempt.ranks.values() for name in record.numbers
        )
    )
    if not names:
        return None
    drawn: list[str] = []
    for number, name in enumerate(names[:_MOST_NUMBERS]):
        pieces = []
        for attempt in run.attempts:
            curves = [record.numbers[name] for record in attempt.ranks.values() if name in record.numbers]
            if points := over_time.joined(curves, *span):
                pieces.append(points)
        if pieces:
            chart = charts.curves(
                f"n-{number}", name, charts.Band(pieces), span, _marks(run), from_zero=False
            )
            drawn += [tag("h3", name), chart]
    if len(names) > _MOST_NUMBERS:
        drawn.append(tag("p", f"{len(names) - _MOST_NUMBERS} more are not shown.", class_="aside"))
    return section("Numbers of the script", "", *drawn, name="numbers") if drawn else None


def _rows_of(
    pieces: Sequence[Sequence[tuple[float, float, float, float]]], began: float, shown: Callable[[float], str]
) -> list[tuple[str, str]]:
    points = [point for piece in pieces for point in piece]
    every = max(1, len(points) // 12)
    return [(duration(at - began), shown(value)) for at, value, _, _ in [*points[::every], points[-1]]]


def _marks(run: Run) -> list[charts.Mark]:
    found = []
    for number, attempt in enumerate(run.attempts):
        if (failure := _failure(attempt)) is not None:
            found.append(failure)
        if number and attempt.began is not None:
            found.append(charts.Mark(attempt.began, "restart", "restart"))
    return found


def _failure(attempt: Attempt) -> charts.Mark | None:
    """When an attempt failed, and who did."""
    if attempt.members_changed:
        is_known = attempt.lost and attempt.ended is not None
        return charts.Mark(float(attempt.ended or 0), "failure", "machine lost") if is_known else None
    first = attempt.first_failure or {}
    at, rank = first.get("time"), first.get("rank")
    if not isinstance(at, int | float):
        failed = [
            (each.failed_at, each.rank) for each in attempt.ranks.values() if each.failed_at is not None
        ]
        at, rank = min(failed, default=(None, None))
    return None if at is None else charts.Mark(float(at), "failure", f"rank {rank} failed")
