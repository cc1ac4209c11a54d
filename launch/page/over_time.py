"""What all ranks did together, in pieces of equal length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from launch.page.run import Attempt
from launch.page.stretches import Curve

__all__ = ["Point", "joined", "memory", "rate_of"]

Point = tuple[float, float, float, float]
_PIECES = 160


def joined(curves: Sequence[Curve], begin: float, end: float) -> list[Point]:
    """The curves of several ranks as one: their mean, and between which values they lie."""
    points = [point for curve in curves for point in curve.points]
    return _joined(points, begin, end)


def memory(attempt: Attempt, begin: float, end: float) -> list[Point]:
    """Resident memory of a rank: the mean, and between which values the ranks lie."""
    points = [
        (each.end, float(each.memory), float(each.memory), float(each.memory))
        for record in attempt.ranks.values()
        for each in record.stretches
        if each.memory
    ]
    return _joined(points, begin, end)


def rate_of(attempt: Attempt, begin: float, end: float, samples: bool) -> list[Point]:
    """Samples of all ranks a second; or steps a second, which all ranks take together."""
    width = max((end - begin) / _PIECES, 1e-9)
    done, covered = [0.0] * _PIECES, [0.0] * _PIECES
    known = [record for record in attempt.ranks.values() if record.stretches]
    for record in known:
        for each in record.stretches:
            amount = float(each.samples if samples else each.steps)
            for piece, part in each.parts(begin, width, _PIECES):
                done[piece] += amount * part / max(each.end - each.begin, 1e-9)
                covered[piece] += part
    ranks = len(known) if samples else 1
    found = []
    for piece in range(_PIECES):
        if covered[piece] > 0.3 * width * min(1, len(known)):
            value = done[piece] / covered[piece] * ranks
            found.append((begin + (piece + 0.5) * width, value, value, value))
    return found


def _joined(points: Iterable[Point], begin: float, end: float) -> list[Point]:
    width = max((end - begin) / _PIECES, 1e-9)
    pieces: dict[int, list[Point]] = {}
    for point in points:
        pieces.setdefault(min(_PIECES - 1, max(0, int((point[0] - begin) / width))), []).append(point)
    found = []
    for piece in sorted(pieces):
        here = pieces[piece]
        mean = sum(p[1] for p in here) / len(here)
        at = sum(p[0] for p in here) / len(here)
        found.append((at, mean, min(p[2] for p in here), max(p[3] for p in here)))
    return found
