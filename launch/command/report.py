"""``distrt-launch report [RUN_DIRECTORY]``: a run as one page of HTML, from what its folder holds."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from launch.exit_codes import CANNOT_WRITE, NO_SCRIPT, OK
from launch.page.page import page
from launch.page.reading import NotARunError, read_run
from launch.reports.run_directory import of_job, write_whole

__all__ = ["report"]


def report(argv: Sequence[str]) -> int:
    """Write the page; the exit code is 66 where there is no run, and 73 where the page cannot be written."""
    parser = argparse.ArgumentParser(
        prog="distrt-launch report",
        description="Make a page of a run: one HTML file with curves, restarts, slow ranks, and a step in detail.",
    )
    parser.add_argument(
        "run_dir",
        nargs="?",
        help="the job's run directory, or a folder of them (default: the newest in runs/)",
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="where to write (default: report.html in the run directory)"
    )
    given = parser.parse_args(argv)
    run_dir = of_job(given.run_dir)
    if run_dir is None:
        print("distrt-launch: no job in runs: expected a run directory", file=sys.stderr)
        return NO_SCRIPT
    try:
        content = page(read_run(run_dir))
    except NotARunError as error:
        print(f"distrt-launch: {error}", file=sys.stderr)
        return NO_SCRIPT
    target = Path(given.output) if given.output else run_dir / "report.html"
    try:
        write_whole(target, content.encode(errors="replace"))
    except OSError as error:
        print(f"distrt-launch: {target} cannot be written ({error.strerror})", file=sys.stderr)
        return CANNOT_WRITE
    print(target)
    return OK
