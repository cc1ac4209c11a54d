"""``record``: leaves what a rank's main function raised in a file, where the launcher names one."""

from __future__ import annotations

import faulthandler
import functools
import json
import os
import time
import traceback
from collections.abc import Callable
from typing import Any

from distrt.comm.child_failures import ChildFailedError
from distrt.core.process.users_code import warn

__all__ = ["ErrorHandler", "get_error_handler", "record"]

#: torchrun's name for the variable with the file's path; distrt-launch reads its ranks' ends itself and sets none.
_VARIABLE = "TORCHELASTIC_ERROR_FILE"


class ErrorHandler:
    """What `record` does with exceptions; derive from it to do something else."""

    def initialize(self) -> None:
        """Before the function runs: have a crash of the interpreter leave the threads' lines on stderr."""
        try:
            faulthandler.enable(all_threads=True)
        except Exception as error:  # such as a stderr that is no file
            warn(f"Unable to enable fault handler. {type(error).__name__}: {error}")

    def record_exception(self, e: BaseException) -> None:
        """Write an exception, as JSON, to the file that TORCHELASTIC_ERROR_FILE names."""
        path = os.environ.get(_VARIABLE)
        if not path:
            return
        stack = "".join(traceback.format_exception(e))
        details = {"py_callstack": stack, "timestamp": str(int(time.time()))}
        told = {"message": {"message": f"{type(e).__name__}: {e}", "extraInfo": details}}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(told, file)

    def hand_on(self, error: ChildFailedError) -> None:
        """Write the first failed child's report to the file that TORCHELASTIC_ERROR_FILE names; or the error itself."""
        _, failure = error.get_first_failure()
        path = os.environ.get(_VARIABLE)
        if path and os.path.isfile(failure.error_file):
            with open(path, "w", encoding="utf-8") as file:
                json.dump(failure.error_file_data, file)
        else:
            self.record_exception(error)


def get_error_handler() -> ErrorHandler:
    """The one that `record` takes where none is given."""
    return ErrorHandler()


def record(fn: Callable[..., Any], error_handler: ErrorHandler | None = None) -> Callable[..., Any]:
    """``fn``, whose exceptions an error handler is told of before they go on.

    Args:
        fn: a rank's main function; where it calls ``sys.exit(0)``, it returns None instead.
        error_handler: `get_error_handler` 's where not given.
    """
    handler = error_handler or get_error_handler()

    @functools.wraps(fn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        handler.initialize()
        try:
            return fn(*args, **kwargs)
        except SystemExit as end:
            if end.code == 0:
                return None
            raise
        except ChildFailedError as error:
            handler.hand_on(error)
            raise
        except Exception as error:
            handler.record_exception(error)
            raise

    return wrapper
