"""Facade: what is built on the collectives, at the path that PyTorch users type. The room is ``distrt.parallel``."""
