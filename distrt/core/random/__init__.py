"""Random numbers: where they come from (``generator``), and what is made of them (``draws``).

The numbers are those that PyTorch draws on a CPU from the same seed. docs/random.md says which, and how exactly.
"""
