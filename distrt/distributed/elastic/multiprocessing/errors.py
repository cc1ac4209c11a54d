"""Facade: ``record``, which scripts put on their main function."""

from distrt.comm.recording import ErrorHandler, get_error_handler, record

__all__ = ["ErrorHandler", "get_error_handler", "record"]
