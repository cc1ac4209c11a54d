"""The examples on a GPU: each runs to its end, and finds what it finds on the CPU where it draws nothing on the GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from tests.gpu.checking import run_all
from tests.gpu.fixtures import NOT_THERE

EXAMPLES = Path(__file__).parents[3] / "examples"

#: Arguments of a run that takes little, and which figures of what it prints are those of the CPU.
RUNS: list[tuple[str, list[str], str]] = [
    (
        "char_gpt.py",
        ["--steps", "3", "--batch-size", "4", "--context", "16", "--sample", "0"],
        r"loss: (\d\S+)",
    ),
    ("features.py", ["--epochs", "1"], ""),
    ("finetune.py", ["--epochs", "1", "--tuning-epochs", "1", "--shots", "4"], r"\Aepoch  1  loss (\d\S+)"),
    ("gan.py", ["--epochs", "1"], ""),
    ("gradcam.py", ["--epochs", "1"], r"quarter: (\d\S+), without the darkest: (\d\S+)"),
    ("imbalanced.py", ["--epochs", "1", "--images", "60"], r"dice score (\d\S+)  recall (\d\S+)"),
    ("model_tester.py", ["--batch-size", "8"], ""),
    ("resumable.py", ["--epochs", "1"], ""),
    ("text_classifier.py", ["--epochs", "1", "--batch-size", "128"], ""),
    ("text_classifier.py", ["--model", "transformer", "--epochs", "1", "--batch-size", "128"], ""),
    ("train_digits.py", ["--epochs", "1"], ""),
    ("trainer.py", ["--epochs", "2"], ""),
    ("trainer.py", ["--epochs", "2", "--amp"], ""),
]

#: How far these may be apart: losses and scores of short runs, in which roundings add up.
APART = 0.02

NAMED = {"long": ["finetune.py", "text_classifier.py --model"], "but": []}


def printed(name: str, arguments: list[str], device: str, seconds: float = 500) -> str:
    """What an example says on a device."""
    with tempfile.TemporaryDirectory() as folder:
        where = "--folder" if name == "resumable.py" else "--output"
        command = [sys.executable, str(EXAMPLES / name), *arguments, "--device", device, where, folder]
        ended = subprocess.run(
            command, env=os.environ, capture_output=True, text=True, timeout=seconds, check=False
        )
    if ended.returncode:
        raise RuntimeError(f"{name} on {device} ended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def figures(pattern: str, said: str) -> list[float]:
    """The numbers that a pattern's groups find, at least one."""
    found = [float(each.rstrip(",")) for match in re.finditer(pattern, said) for each in match.groups()]
    assert found, f"{pattern!r} is not in {said!r}"
    return found


def examples_run_on_a_gpu(chosen: list[str]) -> Iterator[str]:
    """Those whose command begins so, "long" for those that compute most; after "but", those whose command does not."""
    is_wanted, starts = chosen[0] != "but", [start for each in chosen for start in NAMED.get(each, [each])]
    for name, arguments, alike in RUNS:
        if " ".join([name, *arguments]).startswith(tuple(starts)) is not is_wanted:
            continue
        said = printed(name, arguments, "cuda")
        if re.search(r"\bnan\b|\binf\b", said):
            yield f"{name} {arguments}: not all is finite: {said}"
        if not alike:
            continue
        found, expected = figures(alike, said), figures(alike, printed(name, arguments, "cpu"))
        if not np.allclose(found, expected, rtol=APART, atol=APART):
            yield f"{name} {arguments} says {found} on the GPU, {expected} on the CPU"


if __name__ == "__main__":
    if any(find_spec(each) is None for each in ("matplotlib", "sklearn", "tqdm")):
        print("it needs pip install 'distrt[examples,vision]'")
        sys.exit(NOT_THERE)
    if sys.argv[1:] == ["long"] and "DISTRT_EMULATED_DEVICES" in os.environ:
        print("they take half an hour on an emulated GPU")
        sys.exit(NOT_THERE)
    sys.exit(1 if run_all([examples_run_on_a_gpu], sys.argv[1:] or [""]) else 0)
