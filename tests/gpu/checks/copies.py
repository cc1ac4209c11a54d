"""Operations that neither wait for the GPU nor copy anything to or from the CPU: each can be captured in a CUDA graph.

On the fake copies are counted, too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core import gpu
from distrt.core.errors import CaptureError
from tests.gpu.checking import refused, run_all
from tests.gpu.checks.graphs import captured
from tests.gpu.checks.random_numbers import CUDA, copies

X = torch.randn(6, 4, device=CUDA)
NAMED = torch.tensor([1, 2, 5, 0, 2, 2, 4, 1, 5, 5], device=CUDA)
OFFSETS = torch.tensor([0, 3, 3, 7], device=CUDA)
COUNTS = torch.tensor([1, 0, 2, 3, 1, 1], device=CUDA)


def with_gradient(run: Callable[[Any], Any]) -> Callable[[], Any]:
    """A function of a table's rows, and its gradient."""

    def both() -> Any:
        rows = X.detach().requires_grad_()
        out = run(rows)
        return [out.detach(), *torch.autograd.grad(out.sum(), rows)]

    return both


def _grid() -> Any:
    """Places for `grid_sample`, some of them outside."""
    return torch.linspace(-1.2, 1, 24, device=CUDA).view(1, 3, 4, 2)


OPERATIONS: dict[str, Callable[[], Any]] = {
    "arange": lambda: torch.arange(3, 50, 2, device=CUDA),
    "arange of floats": lambda: torch.arange(0, 1, 0.125, device=CUDA),
    "arange of bfloat16": lambda: torch.arange(7, device=CUDA, dtype=torch.bfloat16),
    "linspace": lambda: torch.linspace(-1, 1, 9, device=CUDA),
    "linspace of one": lambda: torch.linspace(-1, 1, 1, device=CUDA),
    "eye": lambda: torch.eye(4, device=CUDA),
    "full": lambda: torch.full((2, 3), 7.5, device=CUDA),
    "repeat_interleave by a number": with_gradient(lambda rows: rows.repeat_interleave(3, 1)),
    "repeat_interleave to a size": with_gradient(
        lambda rows: rows.repeat_interleave(COUNTS, 0, output_size=8)
    ),
    "interpolate": with_gradient(
        lambda rows: F.interpolate(rows[None, None], scale_factor=2.5, mode="bilinear")
    ),
    "interpolate to the nearest": with_gradient(lambda rows: F.interpolate(rows[None], 7, mode="nearest")),
    "interpolate, antialias": with_gradient(
        lambda rows: F.interpolate(rows[None, None], (3, 9), mode="bicubic", antialias=True)
    ),
    "affine_grid": lambda: F.affine_grid(X[:2, :3].reshape(1, 2, 3), (1, 1, 4, 5), align_corners=False),
    "rows by a list": with_gradient(lambda rows: rows[[0, 3, 3], 1:]),
    "rows by numbers of NumPy's": with_gradient(lambda rows: rows[np.array([5, 0])]),
    "a real transform back": with_gradient(lambda rows: torch.fft.irfft(rows.to(torch.complex64)).float()),
    "the largest of all": with_gradient(lambda rows: rows.max() + rows.square().min()),
    "incomplete gamma": with_gradient(lambda rows: torch.igamma(COUNTS[:, None] + 0.5, rows.exp())),
    "the median": with_gradient(lambda rows: rows.median()),
    "lerp by a tensor": with_gradient(lambda rows: torch.lerp(rows, X.flip(0), COUNTS[3] / 4)),
    "integers by integers": lambda: [NAMED // (NAMED + 1), NAMED % (NAMED + 2), torch.fmod(NAMED, NAMED - 7)],
    "integers to integers": lambda: (NAMED - 2) ** (2 - NAMED),
    "bags": with_gradient(lambda rows: F.embedding_bag(NAMED, rows, OFFSETS)),
    "bags of one size": with_gradient(lambda rows: F.embedding_bag(NAMED.view(5, 2), rows, mode="sum")),
    "bags without the padding": with_gradient(
        lambda rows: F.embedding_bag(NAMED, rows, OFFSETS, padding_idx=2)
    ),
    "bags up to the last offset": with_gradient(
        lambda rows: F.embedding_bag(NAMED, rows, OFFSETS, mode="sum", include_last_offset=True)
    ),
    "grid_sample": with_gradient(lambda rows: F.grid_sample(rows[None, None], _grid(), align_corners=False)),
    "weighted bags": with_gradient(
        lambda rows: F.embedding_bag(
            NAMED,
            rows,
            OFFSETS,
            mode="sum",
            per_sample_weights=torch.ones(10, device=CUDA) / 3,
            padding_idx=1,
        )
    ),
}


def results_are_those_of_the_cpu() -> Iterator[str]:
    """The same operations, with their tensors on the CPU."""
    found = {name: _plain(run()) for name, run in OPERATIONS.items()}
    own = globals()
    kept = {name: own[name] for name in ("X", "NAMED", "OFFSETS", "COUNTS", "CUDA")}
    own.update({name: "cpu" if name == "CUDA" else each.cpu() for name, each in kept.items()})
    try:
        for name, run in OPERATIONS.items():
            for one, other in zip(found[name], _plain(run()), strict=True):
                if one.dtype != other.dtype or not torch.allclose(one, other, rtol=1e-6):
                    yield f"{name}: {one.tolist()}, expected {other.tolist()}"
    finally:
        own.update(kept)


def _plain(made: Any) -> list[Any]:
    return [each.cpu() for each in (made if isinstance(made, list) else [made])]


def nothing_waits_or_is_copied() -> Iterator[str]:
    """Each is captured, and its replay gives what it gives."""
    for name, run in OPERATIONS.items():
        run()
        before = copies()
        expected = run()
        if copies() != before:
            yield f"{name}: {copies()}, {before} before"
        graph, out = captured(run)
        graph.replay()
        for one, other in zip(_plain(out), _plain(expected), strict=True):
            if not torch.equal(one, other):
                yield f"{name}: {one.tolist()}, expected {other.tolist()}"


def graphs_keep_the_tables_that_they_read() -> Iterator[str]:
    """Also where so many others came after that the room for them is used up; and ask for those that are not there."""
    run = OPERATIONS["interpolate"]
    expected = _plain(run())
    graph, out = captured(run)
    if not graph._capture.kept:
        yield "the graph keeps nothing"
    gpu.tables._tables.cache_clear()
    filling = [torch.ones(64, device=CUDA) * 9 for _ in range(200)]
    graph.replay()
    if not all(torch.equal(*pair) for pair in zip(_plain(out), expected, strict=True)) or len(filling) != 200:
        yield "others have taken their memory"
    yield from refused(
        CaptureError,
        "call with the same sizes before",
        lambda: captured(lambda: F.interpolate(X[None, None], size=(11, 13), mode="bilinear"), 0),
    )


def tables_that_make_room_have_been_read() -> Iterator[str]:
    """By streams that are late, too, before their memory is another's."""
    run, side = OPERATIONS["interpolate"], torch.cuda.Stream()
    gpu.tables._tables.cache_clear()
    expected = _plain(run())
    most, gpu.tables._MOST = gpu.tables._MOST, gpu.tables._tables(0).cache_info().currsize
    gpu.tables._tables.cache_clear()
    try:
        run()
        with torch.cuda.stream(side):
            side._queue.launch_host_func(lambda _: time.sleep(0.3), None)
            found = run()
        F.interpolate(X[None, None], size=(11, 13), mode="bilinear")
        filling = [torch.ones(64, device=CUDA) * 9 for _ in range(200)]
        side.synchronize()
    finally:
        gpu.tables._MOST = most
        gpu.tables._tables.cache_clear()
    if (
        not all(torch.equal(*pair) for pair in zip(_plain(found), expected, strict=True))
        or len(filling) != 200
    ):
        yield "others have got their memory too early"


def what_is_wrong_is_told() -> Iterator[str]:
    """Where the program waits next, with the CPU's words."""
    for what, run in {
        "found idx to be 6": lambda: F.embedding_bag(NAMED + 1, X, OFFSETS),
        "offsets[0] has to be 0": lambda: F.embedding_bag(NAMED, X, OFFSETS + 1),
        "length 10 but got offsets[-1] of 14": lambda: F.embedding_bag(NAMED, X, OFFSETS * 2),
        "offsets must not decrease": lambda: F.embedding_bag(NAMED, X, torch.tensor([0, 5, 4], device=CUDA)),
        "floor_divide of integers by zero": lambda: OFFSETS // OFFSETS,
        "repeats can not be negative": lambda: X.repeat_interleave(COUNTS - 1, 0, output_size=2),
        "does not match required size: 9": lambda: X.repeat_interleave(COUNTS, 0, output_size=9),
    }.items():
        yield from refused(RuntimeError, what, lambda run=run: run().cpu())
    X.cpu()  # nothing is left


CHECKS = (
    results_are_those_of_the_cpu,
    nothing_waits_or_is_copied,
    graphs_keep_the_tables_that_they_read,
    tables_that_make_room_have_been_read,
    what_is_wrong_is_told,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS) else 0)
