"""What goes to GPUs and comes from them, as far as that needs none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from distrt.core.gpu import places


class Mark:
    """A mark in a stream, which is done or not; somebody may do something while it is asked."""

    def __init__(self, is_done: bool, meanwhile: Callable[[], object] = lambda: None) -> None:
        self._is_done, self._meanwhile = is_done, meanwhile

    @property
    def done(self) -> bool:
        self._meanwhile()
        return self._is_done


def test_what_a_gpu_still_reads_is_kept_while_two_threads_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: deque[Any] = deque()
    monkeypatch.setattr(places, "_on_their_way", kept)
    other = threading.Thread(target=places._keep_until, args=(Mark(False), np.zeros(1)))

    def meanwhile() -> None:
        if not other.ident:
            other.start()
            other.join(0.05)  # it may have to wait for this one

    reading = Mark(False)
    kept.extend([(Mark(True, meanwhile), np.zeros(1)), (reading, np.zeros(1))])
    places._keep_until(Mark(False), np.zeros(1))
    other.join()
    assert [mark for mark, _ in kept].count(reading) == 1
    assert len(kept) == 3
