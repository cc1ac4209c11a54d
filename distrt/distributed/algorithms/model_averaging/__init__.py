"""Facade: averaging models, at the path that PyTorch users type. The room is ``distrt.parallel.averaging``."""
