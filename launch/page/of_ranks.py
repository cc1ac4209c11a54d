"""The sections on ranks: where their time went, who waited, and one step in detail."""

from __future__ import annotations

from collections.abc import Sequence

from distrt.pictures.step import KIND_TITLES, Lane, draw_step, exposed_and_total, hidden_percent
from distrt.pictures.svg import Markup, tag
from launch.page import charts
from launch.page.findings import judged, slow_rank, waiting_by_window
from launch.page.formats import duration, percent, size
from launch.page.parts import figures, legend, section, table
from launch.page.reading import Attempt, RankRecord, Run

__all__ = ["ranks", "step"]


_MOST_ROWS = 64


def ranks(run: Run) -> Markup | None:
    """Where the ranks' time went, in pictures and figures."""
    attempt = judged(run)
    if attempt is None:
        return None
    slow = slow_rank(attempt)
    chosen = _chosen_ranks(attempt, None if slow is None else slow.rank)
    rows, cells = [], []
    for record in chosen:
        total = record.stretches.total()
        if total is None or not total.steps:
            continue
        parts = [
            (kind, title, total.spent.get(kind, 0.0) / total.steps)
            for kind, title in KIND_TITLES.items()
            if total.spent.get(kind)
        ]
        rows.append((f"rank {record.rank}", parts))
        own = total.seconds - total.spent.get("waiting", 0.0)
        cells.append(
            (
                str(record.rank),
                str(record.about.get("host", "?")),
                f"{record.last_step:,}",
                duration(own / total.steps),
                duration(total.spent.get("waiting", 0.0) / total.steps),
                duration(total.longest),
                percent(total.cpu / max(total.seconds, 1e-9)),
                size(total.memory),
                record.how or ("ended" if record.ended else "no end recorded"),
            )
        )
    if not rows:
        return None
    mark = None if slow is None else f"rank {slow.rank}"
    used = [kind for kind in KIND_TITLES if any(part[0] == kind for _, parts in rows for part in parts)]
    heading = ("rank", "machine", "last step", "own work", "waiting", "longest step", "CPU", "memory", "end")
    notes = []
    if len(attempt.ranks) > len(chosen):
        notes.append(
            tag(
                "p",
                f"{len(chosen)} of {len(attempt.ranks)} ranks: those that waited least and most.",
                class_="aside",
            )
        )
    missing = [str(each.rank) for each in attempt.ranks.values() if not each.stretches]
    absent = [str(rank) for rank in range(run.size) if rank not in attempt.ranks]
    if missing or absent:
        words = ", ".join((missing + absent)[:20])
        notes.append(tag("p", f"Without a record of steps: rank {words}.", class_="aside"))
    content = [
        charts.shares("shares", rows, "Where a step's time went", mark),
        legend(used),
        table(heading, cells, mark=None if slow is None else str(slow.rank)),
        *notes,
    ]
    begin, end, windows = waiting_by_window(attempt)
    if len(windows) > 1:
        kept = {record.rank: windows[record.rank] for record in chosen if record.rank in windows}
        content += [
            tag("h3", "Who waited, and when"),
            tag(
                "p",
                "Blue is a rank's own work, grey is waiting for others. Who stays blue keeps the others waiting.",
                class_="lead",
            ),
            charts.heat("heat", kept, (begin, end), (run.began, max(run.ended, end))),
        ]
    return section(
        "Ranks", "Where the time of an average step went, without the first.", *content, name="ranks"
    )


def _chosen_ranks(attempt: Attempt, slow: int | None) -> list[RankRecord]:
    every = [attempt.ranks[rank] for rank in sorted(attempt.ranks)]
    if len(every) <= _MOST_ROWS:
        return every
    totals = {record.rank: record.stretches.total() for record in every}
    waits = sorted(
        (rank for rank, total in totals.items() if total),
        key=lambda rank: totals[rank].spent.get("waiting", 0.0),  # type: ignore[union-attr]
    )
    kept = {*waits[: _MOST_ROWS // 2], *waits[-_MOST_ROWS // 2 + 2 :], 0, slow}
    return [record for record in every if record.rank in kept]


def step(run: Run) -> Markup | None:
    """The last step that most ranks have noted in detail."""
    for attempt in reversed(run.attempts):
        counts: dict[int, list[Lane]] = {}
        for record in attempt.ranks.values():
            for number, lane in record.pictures.items():
                counts.setdefault(number, []).append(lane)
        if not counts:
            continue
        most = max(map(len, counts.values()))
        number = max(step for step, lanes in counts.items() if len(lanes) == most)
        return _step_section(number, counts[number], attempt)
    return None


def _step_section(number: int, lanes: Sequence[Lane], attempt: Attempt) -> Markup:
    rows = []
    for lane in sorted(lanes, key=lambda lane: lane.rank)[:_MOST_ROWS]:
        exposed, total = exposed_and_total(lane)
        hidden = hidden_percent([lane])
        rows.append(
            (
                str(lane.rank),
                duration(lane.end - lane.begin),
                str(len(lane.travels)),
                size(sum(each.nbytes for each in lane.travels)),
                duration(total),
                duration(exposed),
                "-" if hidden is None else f"{hidden:.0f} %",
            )
        )
    heading = ("rank", "length", "exchanges", "bytes", "communication", "exposed", "hidden")
    lead = (
        f"Step {number}, moment by moment. Below each rank's work: what it exchanged with the others; orange is what "
        "it could not do anything else during."
    )
    offsets = [
        uncertainty
        for record in attempt.ranks.values()
        if isinstance(told := record.about.get("clock"), dict)
        and isinstance(uncertainty := told.get("uncertainty_ns"), int)
        and told.get("offset_ns") is not None
    ]
    notes = []
    if offsets:
        words = f"Clocks of the machines are aligned to within {duration(max(offsets) / 1e9)}."
        notes.append(tag("p", words, class_="aside"))
    return section(
        "One step",
        lead,
        tag("figure", draw_step(lanes, f"Step {number}", "onestep", is_alone=False)),
        figures(table(heading, rows)),
        *notes,
        name="step",
    )
