"""A place for ``stride_tricks``."""

from . import stride_tricks as stride_tricks
