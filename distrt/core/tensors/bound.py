"""The methods of ``Tensor`` that are bound at run time, for whoever reads the code without running it.

``core/tensors/methods.py`` puts them on ``Tensor`` itself; this class is empty and exists for its stub, ``bound.pyi``,
which ``scripts/generate`` generates with their signatures.
"""


class Bound:
    """A base of ``Tensor`` that lists its bound methods to editors and mypy."""
