"""Facade: states of sharded models, at the path that PyTorch users type. The room is ``distrt.parallel``."""
