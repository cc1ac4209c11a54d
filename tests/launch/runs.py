"""Run folders as the launcher and ranks leave them, with times that tests choose."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

EPOCH = 1_790_000_000.0
SHARES = {"data": 0.001, "forward": 0.003, "backward": 0.004, "optimizer": 0.001, "script": 0.001}


def start(rank: int, at: float = 0.0, size: int = 2, **more: Any) -> dict[str, Any]:
    about = {
        "rank": rank,
        "size": size,
        "pid": 100 + rank,
        "host": "node0",
        "distrt": "0.1.0",
        "python": "3.11",
    }
    clock = {"machine": "here", "offset_ns": None, "uncertainty_ns": 0}
    times = {"time": EPOCH + at, "at": at, "clock": clock, "command": ["train.py"], "variables": {}}
    return {"kind": "start", "format": 1, **about, **times, **more}


def step(number: int, at: float, spent: Mapping[str, float], **more: Any) -> dict[str, Any]:
    seconds = sum(spent.values())
    told = {
        "step": number,
        "steps": 1,
        "at": at,
        "seconds": seconds,
        "longest": seconds,
        "spent": dict(spent),
    }
    rest = {"moving": 0.002, "bytes": 4096, "calls": 1, "cpu": seconds / 2, "memory": 80 << 20, "samples": 32}
    return {"kind": "step", **told, **rest, **more}


def steps_of(rank: int, count: int, slow: int | None = None, begin: float = 1.0) -> list[dict[str, Any]]:
    """So many steps of 40 ms in which rank ``slow`` is busy with the script, and the others wait for it."""
    spent = {**SHARES, "script": 0.031} if rank == slow else {**SHARES, "waiting": 0.03}
    if slow is None:
        spent = {**SHARES, "waiting": 0.002}
    gap = (
        [0.03, "train.py:16 in main", "train.py:19 in main"] if rank == slow else [0.001, "a.py:1", "a.py:2"]
    )
    length = sum(spent.values())
    return [
        step(number, begin + length * number, spent, gap=gap, loss=1.0 / number)
        for number in range(1, count + 1)
    ]


def write(
    folder: Path,
    ranks: Mapping[int, Sequence[Any]],
    attempt: int = 0,
    events: Sequence[Mapping[str, Any]] = (),
    result: Mapping[str, Any] | None = None,
    command: Sequence[str] = ("script", "train.py"),
    launcher: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run's folder, or one more attempt of it; lines that are text are written as they are."""
    for rank, lines in ranks.items():
        place = folder / f"attempt_{attempt}" / str(rank)
        place.mkdir(parents=True)
        texts = (each if isinstance(each, str) else json.dumps(each) + "\n" for each in lines)
        (place / "record.jsonl").write_text("".join(texts))
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(each) + "\n" for each in events)
    told = {"launcher": launcher or {"pid": 1 << 22, "start_time": 1}, "command": list(command)}
    (folder / "procs.json").write_text(json.dumps(told))
    if result is not None:
        (folder / "result.json").write_text(json.dumps(result))
    return folder


def report(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """``distrt-launch report ...`` in a folder."""
    root = str(Path(__file__).resolve().parents[2])
    return subprocess.run(
        [sys.executable, "-m", "launch", "report", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


class Page:
    """A page, as its reader finds things on it: it is well-formed, so that anything can read it."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.root = ElementTree.fromstring(content.removeprefix("<!doctype html>\n"))

    def texts(self, class_: str) -> list[str]:
        return [text_of(each) for each in self.root.iter() if class_ in each.get("class", "").split()]

    def section(self, name: str) -> ElementTree.Element:
        return next(each for each in self.root.iter("section") if each.get("aria-labelledby") == name)

    def rows(self, section: str) -> list[list[str]]:
        table = next(self.section(section).iter("table"))
        return [[text_of(cell) for cell in row] for row in table.iter("tr")]

    def text(self) -> str:
        return text_of(self.root)


def text_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())
