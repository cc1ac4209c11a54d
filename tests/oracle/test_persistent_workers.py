"""Workers that stay: which numbers the passes of a loader take from the stream."""

from __future__ import annotations

from typing import Any

import pytest

import distrt


@pytest.mark.ci
@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("own_generator", [False, True])
def test_orders_and_later_numbers_are_pytorchs(persistent: bool, own_generator: bool, torch: Any) -> None:
    found = []
    for library in (distrt, torch):
        library.manual_seed(3)
        generator = library.Generator().manual_seed(7) if own_generator else None
        loader = library.utils.data.DataLoader(
            range(9),
            2,
            shuffle=True,
            num_workers=1,
            persistent_workers=persistent,
            generator=generator,
            multiprocessing_context="fork",
        )
        orders = [[batch.tolist() for batch in loader] for _ in range(3)]
        del loader
        found.append((orders, library.rand(2).tolist()))
    assert found[0] == found[1]
