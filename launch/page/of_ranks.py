"""The sections on ranks: where their time went, who waited, and one step in detail."""

from __future__ import annotations

from collections.abc import Sequence

from distrt.pictures.step import KIND_TITLES, Lane, communication, draw_step
from distrt.pictures.svg import Markup, tag
from launch.page import charts
from launch.page.findings import judged, slow_rank
from launch.page.formats import duration, percent, size
from launch.page.parts import figures, legend, section, table
from launch.page.run import Attempt, RankRecord, Run
from launch.page.stretches import Stretch

__all__ = ["ranks", "step"]


_MOST_ROWS = 64
_HEADING = ("rank", "machine", "last step", "own work", "waiting", "longest step", "CPU", "memory", "end")


def ranks(run: Run) -> Markup | None:
    """Where the ranks' time went, in pictures and figures."""
    attempt = judged(run)
    if attempt is None:
        return None
    slow = slow_rank(attempt)
    marked = None if slow is None else slow.rank
    chosen = _chosen_ranks(attempt, marked)
    totals = [(record, record.total) for record in chosen if record.total is not None]
    if not totals:
        return None
    return section(
        "Ranks",
        "Where the time of an average step went, without the first.",
        *_shares([(record.rank, total) for record, total in totals], marked),
        table(_HEADING, [_cells(*each) for each in totals], mark=None if marked is None else str(marked)),
        *_left_out(attempt, len(chosen)),
        *_who_waited(run, attempt, chosen),
        name="ranks",
    )


def _shares(totals: Sequence[tuple[int, Stretch]], marked: int | None) -> list[Markup]:
    """A bar for each rank, and what its colours mean."""
    rows = []
    for rank, total in totals:
        parts = [
            (kind, title, total.spent.get(kind, 0.0) / total.steps)
            for kind, title in KIND_TITLES.items()
            if total.spent.get(kind)
        ]
        rows.append((f"rank {rank}", parts))
    used = [kind for kind in KIND_TITLES if any(part[0] == kind for _, parts in rows for part in parts)]
    mark = None if marked is None else f"rank {marked}"
    return [charts.shares("shares", rows, "Where a step's time went", mark), legend(used)]


def _cells(record: RankRecord, total: Stretch) -> tuple[str, ...]:
    """A row of the table, below ``_HEADING``."""
    waiting = total.spent.get("waiting", 0.0)
    return (
        str(record.rank),
        str(record.about.get("host", "?")),
        f"{record.last_step:,}",
        duration((total.seconds - waiting) / total.steps),
        duration(waiting / total.steps),
        duration(total.longest),
        percent(total.cpu / max(total.seconds, 1e-9)),
        size(total.memory),
        record.how or ("ended" if record.ended else "no end recorded"),
    )


def _left_out(attempt: Attempt, shown: int) -> list[Markup]:
    """Which ranks are not shown."""
    notes = []
    if len(attempt.ranks) > shown:
        words = f"{shown} of {len(attempt.ranks)} ranks: those that waited least and most."
        notes.append(tag("p", words, class_="aside"))
    missing = [str(each.rank) for each in attempt.ranks.values() if not each.stretches]
    if missing or attempt.absent:
        words = ", ".join([*missing, *map(str, attempt.absent)][:20])
        notes.append(tag("p", f"Without a record of steps: rank {words}.", class_="aside"))
    return notes


def _who_waited(run: Run, attempt: Attempt, chosen: Sequence[RankRecord]) -> list[Markup]:
    """Waiting over time, where there is somebody to wait for."""
    begin, end, windows = attempt.waiting
    if len(windows) < 2:
        return []
    kept = {record.rank: windows[record.rank] for record in chosen if record.rank in windows}
    lead = "Blue is a rank's own work, grey is waiting for others. Who stays blue keeps the others waiting."
    return [
        tag("h3", "Who waited, and when"),
        tag("p", lead, class_="lead"),
        charts.heat("heat", kept, (begin, end), (run.began, max(run.ended, end))),
    ]


def _chosen_ranks(attempt: Attempt, slow: int | None) -> list[RankRecord]:
    every = [attempt.ranks[rank] for rank in sorted(attempt.ranks)]
    if len(every) <= _MOST_ROWS:
        return every
    waited = {each.rank: each.total.spent.get("waiting", 0.0) for each in every if each.total is not None}
    waits = sorted(waited, key=lambda rank: waited[rank])
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
        cost = communication(lane)
        rows.append(
            (
                str(lane.rank),
                duration(lane.end - lane.begin),
                str(len(lane.travels)),
                size(sum(each.nbytes for each in lane.travels)),
                duration(cost.total_s),
                duration(cost.exposed_s),
                "-" if cost.hidden_percent is None else f"{cost.hidden_percent:.0f} %",
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
