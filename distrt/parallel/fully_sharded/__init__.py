"""Parameters, gradients and optimizer state split over the ranks: ``fully_shard``, and FSDP on top of it.

``distributed_tensor.py`` has what a rank keeps of a parameter, ``whole_parameters.py`` and ``unit.py`` the parameters
and gradients that travel together, ``passes.py`` when they do, ``state.py`` the hooks of a module, ``module.py``
what users call.
"""
