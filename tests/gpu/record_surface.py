"""Writes down what CuPy offers: ``python tests/gpu/record_surface.py > tests/gpu/cupy_surface.json``.

Needs CuPy and NCCL (``pip install cupy-cuda13x nvidia-nccl-cu13``), but no GPU: names, signatures and the dtypes
of ufuncs are there without one.  ``tests/gpu/fake`` then offers exactly these, so that code which passes on it asks for
nothing that CuPy lacks.
"""

from __future__ import annotations

import inspect
import json
import sys
from types import ModuleType
from typing import Any

import cupy
from cupy.cuda import nccl


def _signature(function: Any) -> str | None:
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):  # a compiled function that does not say
        return None


def _functions(module: ModuleType | type) -> dict[str, str | None]:
    found = {}
    for name in dir(module):
        value = getattr(module, name)
        if name.startswith("_") or isinstance(value, ModuleType | type | cupy.ufunc) or not callable(value):
            continue
        found[name] = _signature(value)
    return found


def surface() -> dict[str, Any]:
    """Everything that the fake goes by."""
    ufuncs = {name: getattr(cupy, name) for name in dir(cupy) if isinstance(getattr(cupy, name), cupy.ufunc)}
    gufuncs = [name for name in dir(cupy) if type(getattr(cupy, name)).__name__ == "_GUFunc"]
    return {
        "version": cupy.__version__,
        "ufuncs": {name: list(ufunc.types) for name, ufunc in ufuncs.items()},
        "gufuncs": gufuncs,
        "functions": _functions(cupy),
        "linalg": _functions(cupy.linalg),
        "fft": _functions(cupy.fft),
        "random": _functions(cupy.random),
        "cuda": sorted(name for name in dir(cupy.cuda) if not name.startswith("_")),
        "runtime": sorted(name for name in dir(cupy.cuda.runtime) if not name.startswith("_")),
        "stream": sorted(name for name in dir(cupy.cuda.Stream) if not name.startswith("_")),
        "event": sorted(name for name in dir(cupy.cuda.Event) if not name.startswith("_")),
        "memory_pool": sorted(name for name in dir(cupy.cuda.MemoryPool) if not name.startswith("_")),
        "nccl": sorted(name for name in dir(nccl) if not name.startswith("_")),
        "nccl_communicator": sorted(name for name in dir(nccl.NcclCommunicator) if not name.startswith("_")),
        "nccl_constants": {name: getattr(nccl, name) for name in dir(nccl) if name.startswith("NCCL_")},
        "nccl_signatures": {
            name: getattr(nccl.NcclCommunicator, name).__doc__.partition("\n")[0]
            for name in dir(nccl.NcclCommunicator)
            if not name.startswith("_") and callable(getattr(nccl.NcclCommunicator, name))
        },
        "ndarray": sorted(dir(cupy.ndarray)),
    }


if __name__ == "__main__":
    json.dump(surface(), sys.stdout, indent=1, sort_keys=True)
    print()
