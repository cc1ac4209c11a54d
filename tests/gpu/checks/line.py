"""Runs one line, and prints what it raises."""

from __future__ import annotations

import sys

import cupy
import numpy

if __name__ == "__main__":
    try:
        eval(sys.argv[1], {"cupy": cupy, "numpy": numpy})  # a line of this repository's tests
    except Exception as fault:
        print(f"{type(fault).__name__}: {fault}")
