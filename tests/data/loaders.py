"""What tests of loaders with workers share: how batches are told, and that no process is left."""

import gc
import multiprocessing
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker
from typing import Any

import pytest

from tests.data.described import described


def batches(loader: Any) -> list[Any]:
    return [described(batch) for batch in loader]


@pytest.fixture(scope="module", autouse=True)
def no_helpers_left() -> Iterator[None]:
    """The standard library's own helper processes live as long as their parent, but for this."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    gc.collect()
    assert multiprocessing.active_children() == []
