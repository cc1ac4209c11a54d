"""What a run's record says that somebody should know: who is slow and at what, what failed, what grows."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from distrt.pictures.step import KIND_TITLES
from launch.page.formats import clock, duration, percent, plural, size
from launch.page.run import Attempt, RankRecord, Run
from launch.page.stretches import Stretch

__all__ = ["Finding", "Slow", "findings", "judged", "slow_rank"]

_WORTH_TELLING = 0.1  # of a step
_GROWS = 1.3


@dataclass(frozen=True)
class Finding:
    """Something to know: ``weight`` is "bad", "note" or "good"; ``detail`` is long, and has lines."""

    weight: str
    title: str
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Slow:
    """The rank for which the others wait.

    Attributes:
        lag_s: by how much its steps' own work is longer than that of the other ranks (their median).
        step_s: how long a step takes.
        kind: in what it takes longer; ``excess_s`` by how much a step.
        place: where that is in the script.
        busy: how much of its own time it had a processor.
        windows: in how much of the run it kept the others waiting.
        is_steady: whether most of its steps are longer, and not a few.
        longest_s: its longest step.
    """

    rank: int
    lag_s: float
    step_s: float
    kind: str
    excess_s: float
    place: str
    busy: float
    windows: float
    is_steady: bool
    longest_s: float


def findings(run: Run) -> list[Finding]:
    """Everything worth telling, the gravest first."""
    found: list[Finding] = []
    for attempt in run.attempts:
        found += _failures(run, attempt)
    if run.state == "broken off":
        found.append(
            Finding(
                "bad",
                "The run broke off",
                "Neither the launcher nor the ranks have said that it ended: they were killed, or the machine stopped.",
            )
        )
    last = judged(run)
    if last is not None:
        found += _about_absence(run, last)
        found += _about_slowness(last)
        found += _about_numbers(last)
        found += _about_memory(last)
    return found


def judged(run: Run) -> Attempt | None:
    """The attempt that averages are taken of: the last one that has steps."""
    with_steps = [
        attempt for attempt in run.attempts if any(record.stretches for record in attempt.ranks.values())
    ]
    return with_steps[-1] if with_steps else None


def slow_rank(attempt: Attempt) -> Slow | None:
    """Who keeps the others waiting, where somebody does; None too where there is one rank."""
    totals = {rank: record.total for rank, record in attempt.ranks.items() if record.total is not None}
    if len(totals) < 2:
        return None
    own = {rank: _own(total) / total.steps for rank, total in totals.items()}
    slow = max(own, key=lambda rank: own[rank])
    others = [rank for rank in totals if rank != slow]
    lag_s = own[slow] - statistics.median(own[rank] for rank in others)
    step_s = statistics.median(total.seconds / total.steps for total in totals.values())
    waited = statistics.median(_waiting(totals[rank]) / totals[rank].steps for rank in others)
    if lag_s < _WORTH_TELLING * step_s or waited - _waiting(totals[slow]) / totals[slow].steps < lag_s / 2:
        return None
    excess = {
        kind: _per_step(totals[slow], kind)
        - statistics.median(_per_step(totals[rank], kind) for rank in others)
        for kind in totals[slow].spent
        if kind != "waiting"
    }
    kind = max(excess, key=lambda each: excess[each])
    whole = totals[slow]
    return Slow(
        slow,
        lag_s,
        step_s,
        kind,
        excess[kind],
        _place(attempt.ranks[slow], whole, kind),
        min(1.0, whole.cpu / max(_own(whole), 1e-9)),
        _share_of_windows(attempt, slow),
        _usual(attempt.ranks[slow]) - statistics.median(_usual(attempt.ranks[rank]) for rank in others)
        > lag_s * _WORTH_TELLING,
        whole.longest,
    )


def _share_of_windows(attempt: Attempt, rank: int) -> float:
    _, _, windows = attempt.waiting
    won = counted = 0
    for each in zip(*windows.values(), strict=True):
        row = dict(zip(windows, each, strict=True))
        known = {number: waited for number, waited in row.items() if waited is not None}
        others = [waited for number, waited in known.items() if number != rank]
        if rank in known and others:
            counted += 1
            won += statistics.median(others) - known[rank] > _WORTH_TELLING
    return won / counted if counted else 0.0


def _own(total: Stretch) -> float:
    return total.seconds - _waiting(total)


def _usual(record: RankRecord) -> float:
    """The own part of a step, as most are."""
    return statistics.median(_own(each) / each.steps for each in record.stretches if each.steps)


def _waiting(total: Stretch) -> float:
    return total.spent.get("waiting", 0.0)


def _per_step(total: Stretch, kind: str) -> float:
    return total.spent.get(kind, 0.0) / total.steps


def _named(place: str) -> str:
    """Without what says nothing to its reader."""
    return place.removesuffix(" in <module>")


def _place(record: RankRecord, total: Stretch, kind: str) -> str:
    """Where in the script a rank spends the time of a kind."""
    if kind != "script":
        return f"at {_named(record.places[kind])}" if record.places.get(kind) else ""
    if not total.gaps:
        return ""
    longest = max(total.gaps, key=lambda each: total.gaps[each])
    before, after = _named(longest[0]), _named(longest[1])
    if not before or not after:
        return f"before {after}" if after else f"after {before}" if before else ""
    return f"between {before} and {after}" if before != after else f"at {before}"


def _failures(run: Run, attempt: Attempt) -> list[Finding]:
    if attempt.members_changed:  # ranks that were told to end, or missed others, have not failed
        told = f"{'; '.join(attempt.lost)}."
        return [_ending(run, attempt, "A machine was lost", told)] if attempt.lost else []
    first = attempt.first_failure
    bad = {
        rank: record
        for rank, record in attempt.ranks.items()
        if record.how not in ("", "exit code 0")
        and (record.failure or first is None or first.get("rank") == rank)
    }
    if not bad and first is None:
        return []
    culprit = first.get("rank") if first else None
    if not isinstance(culprit, int):
        culprit = min(bad, key=lambda rank: (bad[rank].failed_at or float("inf"), rank))
    record = attempt.ranks.get(culprit, RankRecord(culprit))
    how = str((first or {}).get("how") or record.how or "failed")
    error = str((first or {}).get("error") or record.failure or "")
    at = (first or {}).get("time") or record.failed_at
    when = f" {duration(at - run.began)} after the start" if isinstance(at, int | float) else ""
    text = f"It ended{when}: {how}{f', {error}' if error else ''}. {_last_words(record)}"
    return [_ending(run, attempt, f"Rank {culprit} failed", text.strip(), record.traceback)]


def _ending(run: Run, attempt: Attempt, title: str, text: str, detail: str = "") -> Finding:
    """What ended an attempt; it is graver where it was the last."""
    is_last = attempt is run.attempts[-1]
    if not is_last:
        text += f" The launcher started all ranks again (attempt {attempt.number + 1})."
    number = f" in attempt {attempt.number}" if len(run.attempts) > 1 else ""
    return Finding("bad" if is_last else "note", f"{title}{number}", text.strip(), detail)


def _last_words(record: RankRecord) -> str:
    status = record.status
    number = max(record.last_step, 0 if status is None else status.step)  # lines may come after several steps
    step = f"in step {number}" if number else ""
    if status is None or not status.calls:
        return f"Its record ends {step}." if step else ""
    last = status.calls[-1]
    word = "It was in" if last.is_running else "Its last call was"
    return f"{word} {last.text} at {last.place}{f', {step}' if step else ''}."


def _about_absence(run: Run, attempt: Attempt) -> list[Finding]:
    if not attempt.absent:
        return []
    named = ", ".join(map(str, attempt.absent[:8])) + ("" if len(attempt.absent) <= 8 else ", …")
    text = (
        "Whether the others waited for it is not known. Each machine keeps what its ranks record in a run directory of "
        f"its own, {run.name}-nodeK: with these folders beside this one, the page shows all ranks."
    )
    return [Finding("note", f"Nothing is known here of rank {named}", text)]


def _about_slowness(attempt: Attempt) -> list[Finding]:
    slow = slow_rank(attempt)
    if slow is None:
        return []
    what = KIND_TITLES.get(slow.kind, slow.kind)
    where = f", {slow.place}" if slow.place else ""
    busy = "it was computing"
    if slow.busy < 0.8:
        busy = "in the rest it slept, or waited for something other than a rank"
    text = (
        f"The others wait for it: its own part of a step takes {duration(slow.lag_s)} longer than theirs, "
        f"{percent(slow.lag_s / slow.step_s)} of the whole step of {duration(slow.step_s)}. "
        f"A processor worked for it in {percent(slow.busy)} of that part; {busy}. "
        f"It kept the others waiting in {percent(slow.windows)} of the run."
    )
    if not slow.is_steady:
        text += f" Most of its steps are like theirs; the longest took {duration(slow.longest_s)}."
    when = "" if slow.is_steady else " at times"
    return [Finding("bad", f"Rank {slow.rank} is slow{when}: {what}{where}", text)]


def _about_numbers(attempt: Attempt) -> list[Finding]:
    found = []
    for rank, record in attempt.ranks.items():
        curves = {"the loss": record.loss, **record.numbers}
        for name, curve in curves.items():
            if curve.bad is not None:
                at, value = curve.bad
                found.append(
                    Finding(
                        "bad",
                        f"{name[:1].upper()}{name[1:]} became {value}",
                        f"On rank {rank}, at {clock(at)}.",
                    )
                )
                break
        if len(found) > 2:
            break
    return found


def _about_memory(attempt: Attempt) -> list[Finding]:
    grown = []
    for rank, record in attempt.ranks.items():
        pieces: Sequence[Stretch] = record.stretches
        if len(pieces) < 16:
            continue
        early = statistics.median(each.memory for each in pieces[len(pieces) // 4 : len(pieces) // 2])
        late = statistics.median(each.memory for each in pieces[-len(pieces) // 8 :])
        if early and late > _GROWS * early and late - early > 64 << 20:
            grown.append((late - early, rank, early, late))
    if not grown:
        return []
    _, rank, early, late = max(grown)
    others = f", as do {plural(len(grown) - 1, 'other rank')}" if len(grown) > 1 else ""
    text = f"From {size(early)} in the first half to {size(late)} at the end{others}."
    return [Finding("note", f"The memory of rank {rank} grows", text)]
