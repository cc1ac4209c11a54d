"""The order in which ``einsum`` contracts more than two operands."""

__all__ = ["is_available"]

enabled = False
strategy: str | None = None


def is_available() -> bool:
    """False: the library opt_einsum is not used."""
    return False
