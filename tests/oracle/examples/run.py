"""``python -m tests.oracle.examples.run LIBRARY EXAMPLES NAMES OUT``: each docstring in its own process.

LIBRARY is torch or distrt, which then stands under the name of torch. NAMES is a JSON list of those to run. OUT becomes
a JSON object: name -> what each statement printed and raised. Both libraries start with the same seed.
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
    _fill_what_is_empty(torch)
    found = {
        "torch": torch,
        "torchvision": torchvision,
        "nn": nn,
        "F": functional,
        "optim": optim,
        "dist": dist,
    }
    return found | {"np": np, "math": math, "__name__": "__main__"}


def _fill_what_is_empty(torch: Any) -> None:
    """Has ``empty`` give numbers that are the same in both libraries, not what the memory happens to hold."""
    stream = np.random.RandomState(0)

    def empty(*sizes: Any, **options: Any) -> Any:
        shape = options.pop("size", None) or (sizes[0] if sizes and not isinstance(sizes[0], int) else sizes)
        drawn = stream.random_sample(min(_MOST, math.prod(shape)))
        values = np.resize(drawn, tuple(shape))  # what is large repeats itself
        return _tensor(torch, values, options, torch.get_default_dtype())

    torch.empty = _or(empty, torch.empty)


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
