"""Facade: ``record``, which scripts put on their main function."""

from distrt.comm.recording import record

__all__ = ["record"]
