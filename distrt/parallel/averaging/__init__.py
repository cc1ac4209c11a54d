"""Models that train apart for some steps, and are averaged now and then.

Their public path is ``distrt.distributed.algorithms.model_averaging``.
"""
