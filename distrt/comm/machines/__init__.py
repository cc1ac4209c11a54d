"""Ranks on several machines: shared memory within a machine, a network between machines."""
