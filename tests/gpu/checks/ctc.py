"""ctc_loss on a GPU beside the CPU's in float64: PyTorch's where that is installed.

``python -m tests.gpu.checks.ctc [few]``.
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import distrt as torch
import distrt.nn.functional as F
from distrt.core.kernels import on_gpu
from tests.gpu.checking import apart, refused, run_all
from tests.gpu.checks.graphs import captured
from tests.gpu.checks.random_numbers import CUDA, copies

#: Of losses and gradients, in parts of the largest number.
TOLERANCES = {"float64": 1e-12, "float32": 2e-6}

#: How the lengths come: as numbers, as tensors on the CPU, as tensors where the probabilities are.
FORMS = ("numbers", "on the CPU", "there")


class Case(NamedTuple):
    """Steps and labels of each sequence; labels are drawn, with some that follow one another."""

    steps: tuple[int, ...]
    labels: tuple[int, ...]
    classes: int = 5
    blank: int = 0

    def drawn(self) -> tuple[Any, Any, Any]:
        """Probabilities before their softmax, the labels as rows, and all in one row."""
        random = np.random.default_rng(0)
        count, most = len(self.steps), max(self.labels)
        logits = random.standard_normal((max(*self.steps, 1) + 1, count, self.classes))
        rows = (self.blank + random.integers(1, min(self.classes, 4), (count, most))) % self.classes
        flat = [row[:length] for row, length in zip(rows, self.labels, strict=True)]
        return logits, rows, np.concatenate(flat)


CASES = {
    "short": Case((6, 5, 6), (3, 3, 2)),
    "the last class is the blank": Case((9, 9, 4), (5, 2, 1), 4, 3),
    "no labels, no steps, and none of both": Case((3, 2, 0, 0), (0, 2, 2, 0)),
    "impossible": Case((3, 3, 4), (3, 4, 2)),
    "as many labels as a thread has places for": Case((60, 45), (40, 31), 30),
}


def results(
    library: Any, case: Case, dtype: str, place: str, is_flat: bool, form: str, **options: Any
) -> list[Any]:
    """Losses, and the gradient of what went into the softmax, as float64."""
    logits, rows, flat = case.drawn()
    x = library.tensor(logits).to(getattr(library, dtype)).to(place).requires_grad_()
    targets = library.tensor(flat if is_flat else rows).to(place)
    lengths: list[Any] = [case.steps, case.labels]
    if form != "numbers":
        lengths = [library.tensor(each).to(place if form == "there" else "cpu") for each in lengths]
    loss = library.nn.functional.ctc_loss(x.log_softmax(2), targets, *lengths, case.blank, **options)
    seed = library.arange(1, loss.numel() + 1, dtype=loss.dtype).reshape(loss.shape).to(place)
    loss.backward(seed)
    return [each.detach().cpu().to(library.float64).numpy() for each in (loss, x.grad)]


def far(found: list[Any], expected: list[Any]) -> float:
    """How far results are apart, in parts of the largest number; infinite where others are finite."""
    for one, other in zip(found, expected, strict=True):
        if not all(
            np.array_equal(where(one), where(other)) for where in (np.isnan, np.isposinf, np.isneginf)
        ):
            return np.inf
    return apart(*([np.where(np.isfinite(each), each, 0) for each in many] for many in (found, expected)))


def losses_are_those_of_the_cpu(few: bool) -> Iterator[str]:
    """Labels in rows and in one row, however lengths come; every reduction; with and without infinities."""
    oracle = __import__("torch") if importlib.util.find_spec("torch") else torch
    forms = FORMS[2:] if few else FORMS
    reductions = ("none",) if few else ("none", "mean", "sum")
    for (name, case), zero_infinity, reduction in itertools.product(CASES.items(), (False, True), reductions):
        options = {"reduction": reduction, "zero_infinity": zero_infinity}
        expected = results(oracle, case, "float64", "cpu", False, "numbers", **options)
        for dtype, is_flat, form in itertools.product(TOLERANCES, (False, True), forms):
            found = far(results(torch, case, dtype, CUDA, is_flat, form, **options), expected)
            if not found < TOLERANCES[dtype]:
                laid = "one row" if is_flat else "rows"
                yield f"{name}, {dtype}, {options}, {laid}, lengths {form}: {found:.2g} apart"


def rows_that_are_long_for_a_block(few: bool) -> Iterator[str]:
    """More places than shared memory has room for, and than threads keep: with a block made small."""
    case = Case((60, 45), (40, 31), 30)
    expected = results(torch, case, "float64", "cpu", False, "numbers", reduction="none")
    kernels = on_gpu.ctc
    kept = kernels._MOST_THREADS, kernels._MOST_EACH, kernels._ROOMS
    try:
        for threads, each, rooms in ((32, 4, (16,)), (32, 2, (128,)), (64, 1, (16,))):
            kernels._MOST_THREADS, kernels._MOST_EACH, kernels._ROOMS = threads, each, rooms
            found = far(results(torch, case, "float64", CUDA, True, "there", reduction="none"), expected)
            if not found < 1e-12:
                yield f"{threads} threads, {each} places each, {rooms[0]} in shared memory: {found:.2g} apart"
    finally:
        kernels._MOST_THREADS, kernels._MOST_EACH, kernels._ROOMS = kept


def float32_is_as_good_over_many_steps(few: bool) -> Iterator[str]:
    """Losses in the hundreds, of which a float32 holds four digits behind the point: gradients are not of that."""
    case = Case((300, 290), (140, 120), 30)
    expected = results(torch, case, "float64", "cpu", False, "numbers", reduction="none")
    found = far(results(torch, case, "float32", CUDA, False, "there", reduction="none"), expected)
    if not found < 1e-5:
        yield f"{found:.2g} apart"


def other_forms(few: bool) -> Iterator[str]:
    """One sequence without a batch, probabilities that lie otherwise, short integers, half precision under autocast."""
    logits, rows, _ = CASES["short"].drawn()
    x = torch.tensor(logits, device=CUDA).log_softmax(2)
    labels, steps, many = torch.tensor(rows, device=CUDA), (6, 5, 6), (3, 3, 2)
    expected = F.ctc_loss(x, labels, steps, many, reduction="none").tolist()
    turned = x.transpose(0, 1).contiguous().transpose(0, 1)
    half = x.half()
    with torch.autocast("cuda"):
        widened = F.ctc_loss(half, labels, steps, many, reduction="none")
    short = torch.tensor(steps, device=CUDA, dtype=torch.int32)
    alone = F.ctc_loss(
        x[:, 1], labels[1], torch.tensor(5, device=CUDA), torch.tensor(3, device=CUDA), reduction="none"
    )
    for what, found, wanted, limit in (
        ("steps inside", F.ctc_loss(turned, labels, steps, many, reduction="none"), expected, 1e-12),
        ("int32", F.ctc_loss(x, labels.int(), short, many, reduction="none"), expected, 1e-12),
        ("labels on the CPU", F.ctc_loss(x, labels.cpu(), steps, many, reduction="none"), expected, 1e-12),
        ("autocast", widened, expected, 1e-2),
        ("alone", alone, expected[1], 1e-12),
    ):
        if not np.allclose(found.tolist(), wanted, rtol=limit):
            yield f"{what}: {found.tolist()}, expected {wanted}"
    yield from refused(
        RuntimeError, "not implemented for 'Half'", lambda: F.ctc_loss(half, labels, steps, many)
    )


def classes_that_cannot_be(few: bool) -> Iterator[str]:
    """Where a probability is 0, the gradient is a number."""
    x = torch.randn(6, 2, 5, device=CUDA, dtype=torch.float64).log_softmax(2)
    x[:, :, 4] = -torch.inf
    x[3, :, 0] = -torch.inf
    x[2, :, 1] = -torch.inf
    x.requires_grad_()
    losses = F.ctc_loss(x, torch.tensor([[1, 2], [3, 1]], device=CUDA), (6, 6), (2, 2), reduction="none")
    losses.sum().backward()
    if not (torch.isfinite(losses).all() and torch.isfinite(x.grad).all()):
        yield f"{losses.tolist()}, {x.grad.tolist()}"


def wrong_lengths_and_labels_are_told(few: bool) -> Iterator[str]:
    """As on the CPU: at once of lengths that are there, else where the program waits next."""
    logs = np.zeros((3, 2, 4))
    for labels, steps, many in (
        ([[1, 1], [1, 1]], (3, -1), (2, 2)),
        ([[1, 1], [1, 1]], (4, 3), (2, 2)),
        ([[1, 1], [1, 1]], (3, 3), (2, -2)),
        ([[1, 1], [1, 1]], (3, 3), (2, 3)),
        ([[1, 4], [1, 1]], (3, 3), (2, 2)),
        ([1, 1, 1], (3, 3), (2, 2)),
        ([1, 1, 1], (3, 3), (1, 1)),
        ([1, 1, -1], (3, 3), (2, 1)),
    ):
        said = []
        for place, form in (("cpu", "cpu"), (CUDA, "cpu"), (CUDA, CUDA)):
            lengths = [torch.tensor(each, device=form) for each in (steps, many)]
            x = torch.tensor(logs, device=place, requires_grad=True)
            try:
                F.ctc_loss(x, torch.tensor(labels, device=place), *lengths).backward()
                x.grad.cpu()
                said.append("nothing")
            except (RuntimeError, IndexError) as fault:
                said.append(f"{type(fault).__name__}: {str(fault).partition(' (a kernel')[0]}")
        if len(set(said)) != 1 or "nothing" in said:
            yield f"{labels}, {steps}, {many}: {said}"
    torch.zeros(1, device=CUDA).cpu()  # nothing is left


def nothing_comes_by_the_host(few: bool) -> Iterator[str]:
    """On the fake, where copies are counted: forward and backward, and lengths go up where they are on the CPU."""
    case = CASES["short"]
    logits, rows, flat = case.drawn()
    x = torch.tensor(logits, device=CUDA, requires_grad=True)
    there = [torch.tensor(each, device=CUDA) for each in (case.steps, case.labels)]
    for targets in (torch.tensor(rows, device=CUDA), torch.tensor(flat, device=CUDA)):
        before = copies()
        F.ctc_loss(x.log_softmax(2), targets, *there, zero_infinity=True).backward()
        if copies() != before:
            yield f"{copies()}, {before} before"
        if before is None:
            continue
        F.ctc_loss(x.log_softmax(2), targets, case.steps, case.labels).backward()
        if copies() != (before[0] + 2 * 8 * len(case.steps), before[1]):
            yield f"lengths on the CPU: {copies()}, {before} before"


def replays_read_other_labels(few: bool) -> Iterator[str]:
    """A captured graph of forward and backward, with other probabilities, lengths and labels."""
    first, second = CASES["short"], Case((5, 6, 6), (2, 3, 3))
    logits, rows, _ = first.drawn()
    x = torch.tensor(logits, device=CUDA, requires_grad=True)
    given = [torch.tensor(each, device=CUDA) for each in (rows, first.steps, first.labels)]

    def step() -> Any:
        x.grad = None
        losses = F.ctc_loss(x.log_softmax(2), *given, reduction="none")
        losses.sum().backward()
        return losses.detach(), x.grad

    graph, out = captured(step)
    with torch.no_grad():
        x.copy_(torch.tensor(logits[::-1].copy()))
    for place, values in zip(given, (rows[::-1].copy(), second.steps, second.labels), strict=True):
        place.copy_(torch.tensor(values))
    graph.replay()
    found = [each.cpu().numpy() for each in out]
    if far(found, [each.cpu().numpy() for each in step()]) > 1e-12:
        yield f"{found[0]}"


def the_last_gpu_walks(few: bool) -> Iterator[str]:
    """While the first one is the current one."""
    place = f"cuda:{torch.cuda.device_count() - 1}"
    case = CASES["short"]
    for is_flat in (False, True):
        found = results(torch, case, "float64", place, is_flat, "there", reduction="mean")
        if far(found, results(torch, case, "float64", "cpu", is_flat, "there", reduction="mean")) > 1e-12:
            yield f"{found[0]}"
    if torch.cuda.current_device():
        yield "another GPU is the current one"


CHECKS = (
    losses_are_those_of_the_cpu,
    rows_that_are_long_for_a_block,
    float32_is_as_good_over_many_steps,
    other_forms,
    classes_that_cannot_be,
    wrong_lengths_and_labels_are_told,
    nothing_comes_by_the_host,
    replays_read_other_labels,
    the_last_gpu_walks,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS, "few" in sys.argv[1:]) else 0)
