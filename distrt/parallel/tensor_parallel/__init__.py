"""Layers cut over several ranks: ``parallelize_module`` and the styles of its plans.

``plans.py`` has what users call, ``styles.py`` how a layer is cut and computes, ``boundaries.py`` what goes in and
comes out of modules between them, ``losses.py`` a context for losses. What moves between ranks, and back as gradients,
is in ``distributed_tensors/redistribution.py``.
"""
