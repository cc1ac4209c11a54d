"""PyTorch's own table of operations (``op_db``) as the oracle: its samples run on both libraries.

``python -m tests.oracle.opinfo NAME...`` prints a census; ``test_op_db.py`` holds it to ``differences.py``.
"""
