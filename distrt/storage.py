"""Facade: ``torch.storage``: the memory under tensors."""

from distrt.core.storage.storage import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
