"""``python -m distrt.compat script.py ...``: Python runs what follows, which finds distrt under torch's name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from distrt.compat.names import require_no_pytorch, shims_path

_USAGE = """usage: python -m distrt.compat script.py [argument ...]
       python -m distrt.compat -m module [argument ...]
       python -m distrt.compat -c program [argument ...]

Runs it with `import torch` and `import torchvision` meaning distrt, in every process that it starts."""


def main(arguments: Sequence[str]) -> int:
    """Becomes the interpreter that runs the script; returns an exit code only where it cannot."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_USAGE, file=sys.stderr if not arguments else sys.stdout)
        return 0 if arguments else 2
    if sys.flags.ignore_environment:
        print("distrt.compat: under -E and -I, Python ignores PYTHONPATH, which this needs", file=sys.stderr)
        return 2
    if not arguments[0].startswith("-") and not os.path.exists(arguments[0]):
        print(f"distrt.compat: no such script: {arguments[0]} (looked in {os.getcwd()})", file=sys.stderr)
        return 66  # as distrt-launch, and sysexits.h
    try:
        require_no_pytorch()
    except ImportError as error:
        print(error, file=sys.stderr)
        return 2
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [shims_path(), inherited]))
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # as multiprocessing does
    os.execv(sys.executable, [sys.executable, *options, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
