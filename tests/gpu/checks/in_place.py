"""Changes in place: what the CPU gives, in the memory that was there, and without memory for another result."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import distrt as torch
from tests.gpu.checking import refused, run_all

Change = Callable[[Any, Any], Any]

SHAPE = (2, 16, 8, 8)

#: Recorded changes: of what has a history, by what requires grad.
RECORDED: dict[str, Change] = {
    "relu_": lambda x, y: x.relu_(),
    "relu_ as a function": lambda x, y: torch.nn.functional.relu(x, inplace=True),
    "add_": lambda x, y: x.add_(y),
    "a sum": lambda x, y: x.__iadd__(y),
    "add_ by a part": lambda x, y: x.add_(y[:1, :, :1], alpha=0.5),
    "add_ a number": lambda x, y: x.add_(0.5),
    "sub_": lambda x, y: x.sub_(y, alpha=3),
    "several": lambda x, y: x.add_(y).sub_(1).relu_(),
    "itself": lambda x, y: x.add_(x),
    "itself, turned": lambda x, y: x.add_(x.transpose(2, 3)),
    "half precision": lambda x, y: x.add_(y.half()),
    "half precision, scaled": lambda x, y: x.sub_(y.bfloat16(), alpha=0.3),
    "a sum with half precision": lambda x, y: (x + y.half()) - y.bfloat16().add(x, alpha=0.7),
    "mul_ by a constant": lambda x, y: x.mul_(y.detach()),
}

#: What keeps the values that are overwritten, is seen through a view, or changes kind: a copy is in order.
COPIED: dict[str, Change] = {
    "mul_": lambda x, y: x.mul_(y),
    "div_": lambda x, y: x.div_(y),
    "part": lambda x, y: (x[:, 1].relu_(), x)[1],
    "with a view": lambda x, y: (x[0], x.relu_())[1],
    "turned": lambda x, y: x.transpose(0, 1).add_(y.transpose(0, 1)),
    "another dtype": lambda x, y: x.add_(y.double()),
}

#: Not recorded.
UNRECORDED: dict[str, Change] = {
    "mul_": lambda x, y: x.mul_(y),
    "true_divide_": lambda x, y: x.true_divide_(y),
    "part": lambda x, y: (x[1].add_(y[0]), x)[1],
    "average": lambda x, y: x.mul_(0.75).add_(y, alpha=0.25),
}


def _inputs(device: str, dtype: Any, lies: Any) -> tuple[Any, Any, Any]:
    torch.manual_seed(3)
    leaf, other = (
        ((torch.randn(SHAPE) * 4).round() + 0.5).to(dtype) for _ in range(2)
    )  # none is 0, sums are exact
    leaf, other = (each.to(device).to(memory_format=lies).requires_grad_() for each in (leaf, other))
    return leaf, other, leaf * 1


def _differentiated(change: Change, device: str, dtype: Any, lies: Any) -> list[Any]:
    leaf, other, own = _inputs(device, dtype, lies)
    made = change(own, other)
    (made * made.detach()).sum().backward()
    return [made.detach().cpu(), leaf.grad.cpu(), None if other.grad is None else other.grad.cpu()]


def results_and_gradients_are_those_of_the_cpu() -> Iterator[str]:
    """To the bit: each element is computed by itself."""
    for dtype in (torch.float32, torch.bfloat16):
        for lies in (torch.contiguous_format, torch.channels_last):
            for name, change in {**RECORDED, **COPIED}.items():
                found, expected = (_differentiated(change, each, dtype, lies) for each in ("cuda", "cpu"))
                yield from _differences(f"{name}, {dtype}, {lies}", found, expected)
    with torch.no_grad():
        for name, change in UNRECORDED.items():
            both = []
            for device in ("cuda", "cpu"):
                _, other, own = _inputs(device, torch.float32, torch.contiguous_format)
                both.append([change(own, other).cpu()])
            yield from _differences(name, *both)


def _differences(name: str, found: list[Any], expected: list[Any]) -> Iterator[str]:
    for one, other in zip(found, expected, strict=True):
        if (one is None) != (other is None) or (one is not None and not torch.equal(one, other)):
            yield f"{name}: another result"


def no_memory_is_taken() -> Iterator[str]:
    """Where nothing has to be kept, the largest amount of memory stays what it is."""
    for lies in (torch.contiguous_format, torch.channels_last):
        for names, is_recorded in ((RECORDED, True), (UNRECORDED, False)):
            for name, change in names.items():
                with torch.set_grad_enabled(is_recorded):
                    needs_room = (
                        "itself",
                        "add_ by a part",
                        "sub_",
                        "average",
                        "mul_ by",
                        "half",
                        "a sum with",
                    )
                    if not name.startswith(needs_room):
                        yield from _memory_taken(name, change, lies)


def _memory_taken(name: str, change: Change, lies: Any) -> Iterator[str]:
    _, other, own = _inputs("cuda", torch.float32, lies)
    torch.cuda.reset_peak_memory_stats()
    before, address = torch.cuda.memory_allocated(), own.data_ptr()
    made = change(own, other)
    if made is not own or own.data_ptr() != address:
        yield f"{name}: its memory is another"
    if torch.cuda.max_memory_allocated() > before:
        yield f"{name}: takes {torch.cuda.max_memory_allocated() - before} bytes"


def what_is_wrong_is_refused_before_anything_is_written() -> Iterator[str]:
    """Leaves, results that do not fit, and gradients of what was overwritten."""
    leaf, other, own = _inputs("cuda", torch.float32, torch.contiguous_format)
    yield from refused(RuntimeError, "a leaf Variable that requires grad", leaf.relu_)
    before = own.detach().cpu()
    yield from refused(RuntimeError, "output with shape", lambda: own[:1].detach().add_(other))
    if not torch.equal(own.detach().cpu(), before):
        yield "a refused change was made"
    kept = own.square()
    own.add_(other)
    yield from refused(RuntimeError, "modified by an inplace operation", lambda: kept.sum().backward())


CHECKS = (
    results_and_gradients_are_those_of_the_cpu,
    no_memory_is_taken,
    what_is_wrong_is_refused_before_anything_is_written,
)


if __name__ == "__main__":
    sys.exit(1 if run_all(CHECKS) else 0)
