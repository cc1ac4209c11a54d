"""Prints a census: ``python -m tests.oracle.opinfo [--dtypes float32,int64] [--known] [PATTERN...]``."""

from __future__ import annotations

import argparse
import collections
import fnmatch
import re
import sys

from torch.testing._internal.common_methods_invocations import op_db

from tests.oracle.opinfo.differences import explain
from tests.oracle.opinfo.forms import DTYPES, Tally, compare, name_of


def main() -> None:
    """Every entry that a pattern names: one line for each kind of difference."""
    options = argparse.ArgumentParser()
    options.add_argument("patterns", nargs="*", default=["*"])
    options.add_argument("--dtypes", default=",".join(DTYPES))
    options.add_argument("--limit", type=int, help="samples of each dtype")
    options.add_argument("--known", action="store_true", help="differences that have a reason, too")
    given = options.parse_args()
    entries = differing = 0
    tally = Tally()
    for entry in op_db:
        name = name_of(entry)
        if not any(fnmatch.fnmatch(name, pattern) for pattern in given.patterns):
            continue
        kinds = collections.defaultdict(list)
        for each in compare(entry, tuple(given.dtypes.split(",")), given.limit, tally):
            if given.known or explain(each) is None:
                kinds[each.form, re.sub(r"\d+", "0", each.what)[:60]].append(each)
        entries += 1
        differing += bool(kinds)
        for found in kinds.values():
            dtypes = ",".join(sorted({each.dtype for each in found}))
            print(f"{len(found)} x [{dtypes}] {found[0]}")
        sys.stdout.flush()
    print(
        f"{entries} entries, {differing} with differences; {tally.compared} calls compared, {tally.untranslatable} not"
    )


main()
