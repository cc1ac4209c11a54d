"""Ranks on several machines: shared memory within a machine, MPI between machines."""
