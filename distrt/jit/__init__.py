"""Programs as data: functions and modules that run, train and load without the Python that they came from.

``trace`` writes down the operations of one run; ``script`` compiles a subset of Python, control flow included. Both
give programs (``program.py``) that an interpreter runs over the table of operations; no text is ever executed.
docs/jit.md says what the subset is.
"""

from typing import Final

from distrt.comm.futures import Future
from distrt.core.errors import ScriptError as Error
from distrt.core.tensors import methods as _methods  # noqa: F401 - every tensor that is handed out has its methods
from distrt.jit import annotations as annotations
from distrt.jit import frontend as frontend
from distrt.jit.archive import load, save
from distrt.jit.asynchronous import fork, wait
from distrt.jit.decorators import Attribute, annotate, export, ignore, is_scripting, is_tracing, unused
from distrt.jit.decorators import isinstance_ as isinstance
from distrt.jit.script import (
    enable_onednn_fusion,
    export_opnames,
    freeze,
    fuser,
    interface,
    onednn_fusion_enabled,
    optimize_for_inference,
    optimized_execution,
    run_frozen_optimizations,
    script,
    script_if_tracing,
    script_method,
    set_fusion_strategy,
    strict_fusion,
)
from distrt.jit.script_function import ScriptFunction
from distrt.jit.script_module import (
    RecursiveScriptModule,
    ScriptModule,
    TopLevelTracedModule,
    TracedModule,
)
from distrt.jit.trace import TracingCheckError, trace, trace_module
from distrt.tracing import TracerWarning

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "Future",
    "RecursiveScriptModule",
    "ScriptFunction",
    "ScriptModule",
    "TopLevelTracedModule",
    "TracedModule",
    "TracerWarning",
    "TracingCheckError",
    "annotate",
    "enable_onednn_fusion",
    "export",
    "export_opnames",
    "fork",
    "freeze",
    "fuser",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "onednn_fusion_enabled",
    "optimize_for_inference",
    "optimized_execution",
    "run_frozen_optimizations",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]
