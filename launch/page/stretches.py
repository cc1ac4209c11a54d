"""A rank's time in a bounded number of pieces, however long its record is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Curve", "Stretch", "Stretches", "real"]

_MOST = 512  # pieces; even, so that one is left over when there is one more


@dataclass
class Stretch:
    """What a rank did between two moments, in seconds since the epoch.

    Attributes:
        steps: how many it took; ``last_step`` is the number of the last.
        spent: seconds by kind.
        moving: seconds in which something was exchanged.
        longest: seconds of the longest step.
        memory: the most bytes that were resident at the end of one of its lines.
        gaps: seconds of the script between two of its lines.
    """

    begin: float
    end: float
    steps: int = 0
    last_step: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    spent: dict[str, float] = field(default_factory=dict)
    moving: float = 0.0
    nbytes: int = 0
    cpu: float = 0.0
    samples: int = 0
    memory: int = 0
    gaps: dict[tuple[str, str], float] = field(default_factory=dict)

    def add(self, other: Stretch) -> None:
        """Add a later one."""
        self.end, self.last_step = other.end, other.last_step
        self.longest, self.memory = max(self.longest, other.longest), max(self.memory, other.memory)
        for name in ("steps", "seconds", "moving", "nbytes", "cpu", "samples"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, seconds in other.spent.items():
            self.spent[kind] = self.spent.get(kind, 0.0) + seconds
        for places, seconds in other.gaps.items():
            self.gaps[places] = self.gaps.get(places, 0.0) + seconds
        if len(self.gaps) > 32:
            self.gaps = dict(sorted(self.gaps.items(), key=lambda item: -item[1])[:16])

    def parts(self, begin: float, width: float, count: int) -> Iterator[tuple[int, float]]:
        """Which of ``count`` pieces of time, of equal ``width`` from ``begin`` on, it lies in, and for how long."""
        first = min(count - 1, max(0, int((self.begin - begin) / width)))
        last = min(count - 1, max(0, int((self.end - begin) / width)))
        for piece in range(first, last + 1):
            low, high = begin + piece * width, begin + (piece + 1) * width
            if (part := min(self.end, high) - max(self.begin, low)) > 0:
                yield piece, part

    @classmethod
    def of(cls, line: dict[str, Any], shift_s: float) -> Stretch:
        """What a line of a record says; ``shift_s`` turns its times into those since the epoch.

        Raises:
            KeyError, TypeError, ValueError: it is no such line.
        """
        end, seconds = real(line["at"]) + shift_s, max(0.0, real(line["seconds"]))
        spent = {str(kind)[:40]: max(0.0, real(each)) for kind, each in dict(line["spent"]).items()}
        gaps = {}
        if isinstance(gap := line.get("gap"), list) and len(gap) == 3:
            gaps[str(gap[1])[:200], str(gap[2])[:200]] = max(0.0, real(gap[0]))
        return cls(
            end - seconds,
            end,
            max(0, int(line["steps"])),
            int(line["step"]),
            max(0.0, real(line.get("longest", 0.0))),
            seconds,
            spent,
            max(0.0, real(line.get("moving", 0.0))),
            max(0, int(line.get("bytes", 0))),
            max(0.0, real(line.get("cpu", 0.0))),
            max(0, int(line.get("samples", 0))),
            max(0, int(line.get("memory", 0))),
            gaps,
        )


class Stretches(list[Stretch]):
    """Of one rank in one attempt, in their order; neighbours are joined when there are too many."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 1  # how many lines a piece has
        self._in_last = 0

    def take(self, one: Stretch) -> None:
        """Take in what a line says."""
        if self and self._in_last < self._size:
            self[-1].add(one)
            self._in_last += 1
            return
        self.append(one)
        self._in_last = 1
        if len(self) > _MOST:
            self._halve()

    def total(self) -> Stretch | None:
        """All of it; None where there is nothing."""
        if not self:
            return None
        whole = Stretch(self[0].begin, self[0].begin)
        for each in self:
            whole.add(each)
        return whole

    def _halve(self) -> None:
        for number in range(0, len(self) - 1, 2):
            self[number].add(self[number + 1])
        self[:] = self[::2]
        self._size *= 2  # the last piece, which was without a neighbour, has one line still


class Curve:
    """Numbers over time, thinned out: of each piece the last, the lowest and the highest one."""

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float, float]] = []  # time, last, lowest, highest
        self.bad: tuple[float, str] | None = None  # the first that is no finite number, and which
        self._size, self._in_last = 1, 0

    def take(self, at: float, value: float) -> None:
        """Take in a number."""
        if value != value or value in (float("inf"), float("-inf")):
            self.bad = self.bad or (at, str(value))
            return
        if self.points and self._in_last < self._size:
            _, _, low, high = self.points[-1]
            self.points[-1] = (at, value, min(low, value), max(high, value))
            self._in_last += 1
            return
        self.points.append((at, value, value, value))
        self._in_last = 1
        if len(self.points) > _MOST:
            pairs = zip(self.points[::2], self.points[1::2], strict=False)
            last = self.points[-1:] if len(self.points) % 2 else []
            self.points = [(b[0], b[1], min(a[2], b[2]), max(a[3], b[3])) for a, b in pairs] + last
            self._size *= 2


def real(value: Any) -> float:
    """A number of a record, where "nan" and "inf" are text.

    Raises:
        TypeError, ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(f"a number was expected, got {value!r}")
    return float(value)
