"""``record``: leaves what a rank's main function raised in a file, where the launcher names one."""

from __future__ import annotations

import functools
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

__all__ = ["record"]

#: torchrun's name for the variable with the file's path; distrt-launch reads its ranks' ends itself and sets none.
_VARIABLE = "TORCHELASTIC_ERROR_FILE"


def record(fn: Callable[..., Any], error_handler: object = None) -> Callable[..., Any]:
    """``fn``, whose exceptions are also written, as JSON, to the file that TORCHELASTIC_ERROR_FILE names.

    Args:
        fn: a rank's main function; where it calls ``sys.exit(0)``, it returns None instead.
        error_handler: accepted for PyTorch's sake.
    """

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return fn(*args, **kwargs)
        except SystemExit as end:
            if end.code == 0:
                return None
            raise
        except Exception as error:
            if path := os.environ.get(_VARIABLE):
                _write(path, error)
            raise

    return wrapper


def _write(path: str, error: Exception) -> None:
    details = {"py_callstack": traceback.format_exc(), "timestamp": str(int(time.time()))}
    told = {"message": {"message": f"{type(error).__name__}: {error}", "extraInfo": details}}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(told, file)
