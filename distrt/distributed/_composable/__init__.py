"""Facade: the former path of ``fully_shard``, which users still type. The room is ``distrt.parallel``."""
