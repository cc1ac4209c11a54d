"""Holds the inventory to its tests: no row of a finished area without one, no claim for a row that does not exist."""

from __future__ import annotations

from tests.inventory.rows import CLAIMS, FINISHED, FINISHED_ROWS, all_rows, collect


def test_every_row_of_a_finished_area_is_shown_by_a_test() -> None:
    collect()
    wanted = {row for row in all_rows() if row[0] in FINISHED} | set(FINISHED_ROWS)
    assert not sorted(wanted - set(CLAIMS))


def test_every_claim_is_for_a_row() -> None:
    collect()
    assert not sorted({*CLAIMS, *FINISHED_ROWS} - set(all_rows()))


def test_the_inventory_is_whole() -> None:
    assert len(all_rows()) == 361
