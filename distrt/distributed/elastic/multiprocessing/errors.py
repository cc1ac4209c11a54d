"""Facade: ``record``, which scripts put on their main function, and the error for children's failures."""

from distrt.comm.child_failures import ChildFailedError, ProcessFailure
from distrt.comm.recording import ErrorHandler, get_error_handler, record

__all__ = ["ChildFailedError", "ErrorHandler", "ProcessFailure", "get_error_handler", "record"]
