"""Where two rows of stretches overlap."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from distrt.pictures.step import _common

_ROWS = st.lists(st.integers(0, 60), unique=True, max_size=20).map(
    lambda bounds: [
        (float(a), float(b)) for a, b in zip(sorted(bounds)[::2], sorted(bounds)[1::2], strict=False)
    ]
)


@given(_ROWS, _ROWS)
def test_what_both_cover_is_found(
    first: list[tuple[float, float]], second: list[tuple[float, float]]
) -> None:
    def covers(row: list[tuple[float, float]], at: float) -> bool:
        return any(begin < at < end for begin, end in row)

    both = _common(first, second)
    for half in range(121):
        at = half / 2 + 0.25
        assert covers(both, at) == (covers(first, at) and covers(second, at))
