"""``python -m tests.oracle.examples.run LIBRARY EXAMPLES NAMES OUT``: each docstring in its own process.

LIBRARY is torch or distrt, which then stands under the name of torch. NAMES is a JSON list of those to run. OUT becomes
a JSON object: name -> what each statement printed and raised. Random numbers of the usual functions come from NumPy,
so that both libraries draw the same.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import random
import select
import signal
import sys
import tempfile
import time
import warnings
from typing import Any

import numpy as np

#: Seconds for one docstring.
PATIENCE = 20

#: Numbers that are drawn at once.
_MOST = 100_000


def main(library: str, examples: str, names: str, out: str) -> None:
    """Runs the examples, and writes what they did."""
    space = _names(library)
    with open(examples) as file:
        sources = json.load(file)
    done = {name: _apart(sources[name], space) for name in json.loads(names)}
    with open(out, "w") as file:
        json.dump(done, file)


def _names(library: str) -> dict[str, Any]:
    """What examples use without importing it."""
    if library == "distrt":
        from distrt import compat

        compat.install()
    else:
        from tests.oracles import require_torchvision

        require_torchvision()
    import torch
    import torch.distributed as dist
    import torch.distributed.fsdp
    import torch.func
    import torch.nn.utils.parametrize
    import torch.nn.utils.rnn
    import torchvision
    from torch import nn, optim
    from torch.nn import functional

    torch.set_num_threads(1)
    _draw_from_numpy(torch)
    found = {
        "torch": torch,
        "torchvision": torchvision,
        "nn": nn,
        "F": functional,
        "optim": optim,
        "dist": dist,
    }
    return found | {"np": np, "math": math, "__name__": "__main__"}


def _draw_from_numpy(torch: Any) -> None:
    """Has the usual functions of random numbers, and ``normal_`` and ``uniform_``, draw the same in both libraries."""
    stream = np.random.RandomState(0)

    def real(draw: Any) -> Any:
        def drawn(*sizes: Any, **options: Any) -> Any:
            shape = options.pop("size", None) or (
                sizes[0] if sizes and not isinstance(sizes[0], int) else sizes
            )
            values = np.resize(
                draw(min(_MOST, math.prod(shape))), tuple(shape)
            )  # what is large repeats itself
            return _tensor(torch, values, options, torch.get_default_dtype())

        return drawn

    def integers(low: int, high: Any = None, size: Any = None, **options: Any) -> Any:
        if not isinstance(high, int):
            low, high, size = 0, low, high if size is None else size
        return _tensor(torch, stream.randint(low, high, tuple(size)), options, torch.int64)

    def permuted(number: int, **options: Any) -> Any:
        return _tensor(torch, stream.permutation(number), options, torch.int64)

    normal, even = real(stream.standard_normal), real(stream.random_sample)
    drawers = {"randn": normal, "rand": even, "empty": even, "randint": integers, "randperm": permuted}
    for name, drawer in drawers.items():
        setattr(torch, name, _or(drawer, getattr(torch, name)))
    for name, drawer in {"randn_like": normal, "rand_like": even}.items():
        setattr(
            torch,
            name,
            lambda x, drawer=drawer, **options: drawer(tuple(x.shape), **{"dtype": x.dtype} | options),
        )

    def fill(self: Any, values: Any) -> Any:
        with torch.no_grad():
            return self.copy_(torch.tensor(values).to(self.dtype))

    torch.Tensor.normal_ = lambda self, mean=0.0, std=1.0, **_: fill(
        self, mean + std * stream.standard_normal(tuple(self.shape))
    )
    torch.Tensor.uniform_ = lambda self, a=0.0, b=1.0, **_: fill(
        self, a + (b - a) * stream.random_sample(tuple(self.shape))
    )


def _tensor(torch: Any, values: Any, options: dict[str, Any], usual: Any) -> Any:
    dtype = options.get("dtype") or usual
    made = (
        torch.complex(torch.tensor(values), torch.tensor(values))
        if dtype.is_complex
        else torch.tensor(values)
    )
    return (
        made.to(dtype).to(options.get("device") or "cpu").requires_grad_(options.get("requires_grad", False))
    )


def _or(drawer: Any, otherwise: Any) -> Any:
    """The drawer; the library's own function for other arguments than its plain ones, so that errors are its own."""

    def draw(*args: Any, **options: Any) -> Any:
        if set(options) <= {"dtype", "device", "requires_grad", "size", "generator"}:
            with contextlib.suppress(Exception):
                return drawer(*args, **{key: value for key, value in options.items() if key != "generator"})
        return otherwise(*args, **options)

    return draw


def _apart(sources: list[str], space: dict[str, Any]) -> Any:
    """What the statements did in a process of their own; shorter than they are where time ran out."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _child(sources, space, writer)
    os.close(writer)
    told = b""
    ends = time.monotonic() + 2 * PATIENCE  # for what hears no signal, since it never comes back to Python
    while select.select([reader], [], [], max(0.0, ends - time.monotonic()))[0]:
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        told += piece
    os.close(reader)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # the example, and what it has started
    os.waitpid(child, 0)
    with contextlib.suppress(ValueError):
        return json.loads(told)
    return []


def _child(sources: list[str], space: dict[str, Any], writer: int) -> None:
    os.setpgid(0, 0)
    results: list[Any] = []

    def end(*_: Any) -> None:
        with os.fdopen(writer, "wb") as file:
            file.write(json.dumps(results).encode())
        os._exit(0)

    signal.signal(signal.SIGALRM, end)
    signal.alarm(PATIENCE)
    silent = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(silent, number)
    with contextlib.suppress(BaseException), tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        random.seed(0)
        np.random.seed(0)
        space["torch"].manual_seed(0)
        for source in sources:
            results.append(_outcome(source, space))
    end()


def _outcome(source: str, space: dict[str, Any]) -> tuple[str, str | None]:
    """What a statement printed, and the error that it raised."""
    printed = io.StringIO()
    fault = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            try:
                exec(compile(source, "<example>", "single"), space)
            except BaseException as raised:
                fault = f"{type(raised).__name__}: {raised}"[:300]
    return printed.getvalue()[:20000], fault


if __name__ == "__main__":
    main(*sys.argv[1:])
