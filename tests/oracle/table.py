"""The whole table of op cases: every ``*_cases.py`` of this folder adds its rows when it is imported here."""

from __future__ import annotations

import importlib
import pkgutil

import tests.oracle
from tests.oracle.op_cases import CASES, Case

__all__ = ["CASES", "Case"]

for _found in pkgutil.iter_modules(tests.oracle.__path__, "tests.oracle."):
    if _found.name.endswith("_cases"):
        importlib.import_module(_found.name)
