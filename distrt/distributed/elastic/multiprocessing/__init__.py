"""Facade: the package of ``errors``."""
