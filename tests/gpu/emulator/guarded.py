"""``python -m tests.gpu.emulator.guarded MODULE ARGUMENT...``: the module, with each array in an allocation of its own.

CuPy's pool would put arrays side by side, where what is read beyond one is in another.
"""

from __future__ import annotations

import runpy
import sys

import cupy

if __name__ == "__main__":
    cupy.cuda.set_allocator(None)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
