"""What tests of loaders with workers share: how batches are told, and that no process is left."""

import gc
import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest

from tests.data.described import described


def batches(loader: Any) -> list[Any]:
    return [described(batch) for batch in loader]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    gc.collect()
    left = multiprocessing.active_children()
    for each in left:  # of a test that failed, whose traceback holds the loader: the next is not to find them
        each.kill()
        each.join()
    assert left == []
