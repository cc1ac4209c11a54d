"""Facade: futures at the path that PyTorch users type. The room is ``distrt.comm``."""

from distrt.comm.futures import Future, collect_all, wait_all

__all__ = ["Future", "collect_all", "wait_all"]
