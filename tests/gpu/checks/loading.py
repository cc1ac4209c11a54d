"""``DataLoader(pin_memory=True)`` with a GPU: batches in page-locked memory, whoever loads them."""

from __future__ import annotations

import sys
import threading
import traceback
from typing import Any, NamedTuple

import distrt as torch
from distrt.data import DataLoader, Dataset


class Sample(NamedTuple):
    """A sample in a container with names."""

    x: Any
    y: int


class Own:
    """A batch of its own kind."""

    def __init__(self, samples: list[Any]) -> None:
        self.x = torch.stack([each.x for each in samples])
        self.is_pinned = False

    def pin_memory(self) -> Own:
        """As users write it."""
        self.x, self.is_pinned = self.x.pin_memory(), True
        return self


class Numbers(Dataset[Any]):
    """Tensors that tell their place."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, place: int) -> Any:
        if place == getattr(self, "broken", None):
            raise OSError("disk on fire")
        return Sample(torch.full((3,), float(place)), place)


def threads() -> int:
    """Those that pin."""
    return sum(each.name == "distrt pinning" for each in threading.enumerate())


def nested(samples: list[Any]) -> Any:
    """A batch with tensors deep inside."""
    return {"a": [torch.stack([each.x for each in samples]), "text"], "b": (samples[0].x.clone(),)}


def every_batch_is_pinned(workers: int) -> None:
    """Of tensors in tuples with names, in nested containers, and of a type with the method."""
    options: dict[str, Any] = {"batch_size": 4, "pin_memory": True, "num_workers": workers}
    for batch, start in zip(DataLoader(Numbers(), **options), (0, 4, 8), strict=True):
        assert isinstance(batch, Sample) and batch.x.is_pinned() and batch.y.is_pinned()
        assert batch.y[0] == start
        copied = batch.x.to("cuda", non_blocking=True)
        assert copied.is_cuda and copied.cpu()[0, 0] == start
    for found in DataLoader(Numbers(), collate_fn=nested, **options):
        assert found["a"][0].is_pinned() and found["b"][0].is_pinned() and found["a"][1] == "text"
    assert all(
        each.is_pinned and each.x.is_pinned() for each in DataLoader(Numbers(), collate_fn=Own, **options)
    )
    assert not next(iter(DataLoader(Numbers(), batch_size=4, num_workers=workers))).x.is_pinned()


def passes_may_be_broken_off_and_begun_again() -> None:
    """Workers that stay, an error in the dataset, and a pass that nobody ends: no thread is left."""
    loader = DataLoader(Numbers(), batch_size=2, pin_memory=True, num_workers=2, persistent_workers=True)
    for _ in range(2):
        assert next(iter(loader)).y.tolist() == [0, 1]
        assert [batch.y[0].item() for batch in loader] == [0, 2, 4, 6, 8]
    del loader
    broken = Numbers()
    broken.broken = 5  # type: ignore[attr-defined]
    found = iter(DataLoader(broken, batch_size=2, pin_memory=True, num_workers=1))
    assert next(found).y.tolist() == [0, 1] and next(found).y.tolist() == [2, 3]
    try:
        next(found)
        raise AssertionError("the error is lost")
    except OSError as fault:
        assert "disk on fire" in str(fault)
    del found
    left = iter(DataLoader(Numbers(), batch_size=2, pin_memory=True, num_workers=1))
    next(left)
    del left
    for _ in range(100):
        if not threads():
            return
        threading.Event().wait(0.05)
    raise AssertionError(f"{threads()} threads are left")


def main() -> int:
    """Runs all; returns how many failed."""
    failed = 0
    for check, *arguments in (
        (every_batch_is_pinned, 0),
        (every_batch_is_pinned, 2),
        (passes_may_be_broken_off_and_begun_again,),
    ):
        try:
            check(*arguments)
        except Exception:
            failed += 1
            print(f"FAILED {check.__name__} {arguments}\n{traceback.format_exc()}")
    print(f"{failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
