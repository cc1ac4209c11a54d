"""Worker processes of a ``DataLoader``: ``batches.py`` is the parent's side, ``process.py`` the worker's.

They talk through one socket each (``channel.py``). Arrays lie in memory that both have mapped and use again and again
(``blocks.py``, ``loans.py``), and ``parcels.py`` puts a batch into both.
"""
