"""From Python's syntax tree to a program (``jit/program.py``): names, types, expressions, statements, modules."""
