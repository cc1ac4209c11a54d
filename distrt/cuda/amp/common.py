"""Facade: whether mixed precision on a GPU is out of the question."""

__all__ = ["amp_definitely_not_available"]


def amp_definitely_not_available() -> bool:
    """True where there is no GPU."""
    from distrt import cuda

    return not cuda.is_available()
