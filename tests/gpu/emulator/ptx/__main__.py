"""``python -m ptx FILE.ptx FILE.so``: what the device runs for each kernel that it has not met before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from . import UnsupportedError, translated

_HERE = Path(__file__).parent
#: No fused products: PTX says itself where it wants one.
_FLAGS = ["-O1", "-fPIC", "-shared", "-w", "-ffp-contract=off", "-fno-strict-aliasing", f"-I{_HERE}"]
_SECONDS = 300


def main(source: str, library: str) -> int:
    """Writes the library; what is wrong with the source goes to standard error."""
    signal.alarm(_SECONDS)  # the device waits for us, in a program that must not hang
    made = f"{library}.{os.getpid()}"
    c = Path(f"{made}.c")
    try:
        c.write_text(translated(Path(source).read_text()))
        subprocess.run(["gcc", *_FLAGS, str(c), "-o", made], check=True, timeout=_SECONDS)
        os.replace(made, library)
    except UnsupportedError as unknown:
        print(f"emulated GPU: the translator does not know the {unknown}", file=sys.stderr)
        return 1
    except subprocess.SubprocessError as failed:
        print(f"emulated GPU: {failed}; its input is {c}", file=sys.stderr)
        return 1
    c.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
