"""``distrt-launch trace``: traces of several ranks as one for Perfetto, or a step of it as a picture."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from distrt.pictures.step import draw_step, title_of
from distrt.pictures.traces import TraceError, lanes_of, merge, read_trace, trace_bytes
from launch.exit_codes import CANNOT_WRITE, NO_SCRIPT, OK
from launch.reports.run_directory import write_whole

__all__ = ["trace"]


def trace(argv: Sequence[str]) -> int:
    """Merge or draw; the exit code is 66 where a file is no trace, and 73 where nothing can be written."""
    parser = argparse.ArgumentParser(
        prog="distrt-launch trace",
        description="Put the traces that ranks' profilers have written into one, or draw a step of them.",
    )
    parser.add_argument("files", nargs="+", help="what export_chrome_trace wrote, of one rank each")
    parser.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="a trace (.json, .json.gz) or a picture (.svg)"
    )
    parser.add_argument(
        "--step", type=int, metavar="N", help="which of the recorded steps is drawn (default: the last)"
    )
    given = parser.parse_args(argv)
    target = Path(given.output)
    if not target.name.lower().endswith((".json", ".json.gz", ".svg")):
        parser.error(
            f"argument -o/--output: expected a name that ends in .json, .json.gz or .svg, got {target}"
        )
    try:
        found = [read_trace(path) for path in given.files]
        # One that was merged before has every rank already.
        merged = found[0] if len(found) == 1 and "clocks" in found[0] else merge(found)
        if target.suffix.lower() == ".svg":
            data = draw_step(lanes_of(merged, given.step), title_of(given.step)).encode()
        else:
            data = trace_bytes(merged, target)
    except TraceError as error:
        print(f"distrt-launch: {error}", file=sys.stderr)
        return NO_SCRIPT
    try:
        write_whole(target, data)
    except OSError as error:
        print(f"distrt-launch: {target} cannot be written ({error.strerror})", file=sys.stderr)
        return CANNOT_WRITE
    print(target)
    return OK
