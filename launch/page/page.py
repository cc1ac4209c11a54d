"""The page of a run: one file of HTML with its pictures in it. It loads nothing, and runs nothing."""

from __future__ import annotations

import statistics

from distrt.pictures.svg import Markup, tag
from launch.page import of_ranks, of_time
from launch.page.findings import Finding, findings, judged
from launch.page.formats import clock, duration, percent, plural, rate, significant, size
from launch.page.parts import section, table
from launch.page.run import Run
from launch.page.style import style_sheet

__all__ = ["page"]

_STATES = {
    "finished": ("good", "finished"),
    "failed": ("bad", "failed"),
    "stopped": ("note", "stopped"),
    "running": ("note", "running"),
    "broken off": ("bad", "broken off"),
}


def page(run: Run) -> str:
    """The whole document."""
    sections = [
        _findings(run),
        _numbers(run),
        of_time.course(run),
        of_ranks.ranks(run),
        of_ranks.step(run),
        of_time.curves(run),
        of_time.own_numbers(run),
        _configuration(run),
    ]
    body = tag("main", _header(run), *(each for each in sections if each), _footer(run))
    head = tag(
        "head",
        Markup('<meta charset="utf-8"/>'),
        Markup('<meta name="viewport" content="width=device-width,initial-scale=1"/>'),
        Markup(
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>"
        ),
        Markup('<meta name="color-scheme" content="light dark"/>'),
        tag("title", f"{run.name}: run report"),
        tag("style", style_sheet()),
    )
    return "<!doctype html>\n" + tag("html", head, tag("body", body), lang="en") + "\n"


def _header(run: Run) -> Markup:
    weight, word = _STATES[run.state]
    code = run.result.get("exit_code")
    if run.state == "failed" and isinstance(code, int):
        word += f", exit code {code}"
    command = " ".join(run.command[1:]) or "unknown program"
    starts = [
        record.startup.end - attempt.began
        for attempt in run.attempts[-1:]
        for record in attempt.ranks.values()
        if record.startup is not None and record.startup.steps and attempt.began is not None
    ]
    facts = [
        ("Started", clock(run.began)),
        ("Lasted" if run.state != "running" else "So far", duration(run.ended - run.began)),
        *([("To the first step", duration(max(starts)))] if starts else []),
        ("Ranks", str(run.size or "?")),
        ("Machines", ", ".join(sorted(_hosts(run))[:4]) or "?"),
        ("Attempts", str(len(run.attempts))),
    ]
    return tag(
        "header",
        tag("p", "distrt run report", class_="kicker"),
        tag("h1", run.name, tag("span", word, class_=f"pill {weight}")),
        tag("p", tag("code", command[:300])),
        tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in facts), class_="facts"),
    )


def _hosts(run: Run) -> set[str]:
    return {
        str(record.about["host"])
        for attempt in run.attempts
        for record in attempt.ranks.values()
        if record.about.get("host")
    }


def _findings(run: Run) -> Markup:
    found = findings(run)
    if not found:
        words = "No rank kept the others waiting, none failed, and no number went wrong."
        if judged(run) is None:
            words = "No rank has recorded a step."
        return tag("section", tag("p", words, class_="finding good"), aria_label="What stands out")
    entries = [
        tag(
            "li",
            tag("strong", each.title),
            tag("p", each.text),
            *_detail(each),
            class_=f"finding {each.weight}",
        )
        for each in found
    ]
    return section("What stands out", "", tag("ul", *entries, class_="findings"), name="findings")


def _detail(finding: Finding) -> list[Markup]:
    if not finding.detail:
        return []
    return [tag("details", tag("summary", "Traceback"), tag("pre", finding.detail))]


def _numbers(run: Run) -> Markup | None:
    attempt = judged(run)
    if attempt is None:
        return None
    totals = [each.total for each in attempt.ranks.values() if each.total is not None]
    if not totals:
        return None
    step_s = statistics.median(each.seconds / each.steps for each in totals)
    last = max(record.last_step for record in attempt.ranks.values())
    samples = sum(each.samples / each.seconds for each in totals if each.seconds)
    moving = sum(each.moving for each in totals)
    waiting = sum(each.spent.get("waiting", 0.0) for each in totals)
    cards = [("Steps", f"{last:,}", f"{duration(step_s)} each (median of ranks)")]
    if samples:
        cards.append(("Throughput", significant(samples), f"samples/s; {rate(1 / step_s, 'steps')}"))
    else:
        cards.append(("Throughput", significant(1 / step_s), "steps/s"))
    if moving and attempt.size > 1:
        nbytes = sum(each.nbytes / each.steps for each in totals) / len(totals)
        hidden = max(0.0, 1 - waiting / moving)
        cards.append(("Communication hidden", percent(hidden), f"{size(nbytes)} a rank and step"))
        cards.append(
            ("Waiting", percent(waiting / sum(each.seconds for each in totals)), "of the ranks' time")
        )
    cards.append(("Memory", size(max(each.memory for each in totals)), "the largest rank's, resident"))
    boxes = [
        tag("div", tag("dt", name), tag("dd", value), tag("dd", more, class_="more"), class_="card")
        for name, value, more in cards
    ]
    return tag("section", tag("dl", *boxes, class_="cards"), aria_label="Key figures")


def _configuration(run: Run) -> Markup:
    records = [record for attempt in run.attempts for record in attempt.ranks.values() if record.about]
    about = records[0].about if records else {}
    rows = [("Folder", str(run.folder.resolve()))]
    launched = run.job.get("command")
    if isinstance(launched, list):
        rows.append(("Launched by", " ".join(map(str, launched))[:1000]))
    if run.job.get("folder"):
        rows.append(("In", str(run.job["folder"])))
    if isinstance(command := about.get("command"), list):
        rows.append(("Script and arguments", " ".join(map(str, command))[:1000]))
    rows += [
        (title, str(about[name]))
        for name, title in (
            ("distrt", "distrt"),
            ("python", "Python"),
            ("cores", "Cores that a rank may use"),
        )
        if about.get(name) is not None
    ]
    variables = about.get("variables")
    if isinstance(variables, dict):
        rows += [(str(name), str(value)[:500]) for name, value in list(variables.items())[:40]]
    return section("Configuration", "", table(("", ""), rows, class_="pairs"), name="configuration")


def _footer(run: Run) -> Markup:
    damaged = sum(record.damaged for attempt in run.attempts for record in attempt.ranks.values())
    notes = list(run.notes)
    if damaged:
        notes.append(
            f"{plural(damaged, 'line')} of the records could not be read, as where a rank was killed or is writing."
        )
    if run.state == "running":
        notes.append("The run was going on when this was made.")
    return tag(
        "footer",
        *(tag("p", each) for each in notes),
        tag("p", f"Made by distrt-launch report, {clock(run.read_at)}."),
    )
