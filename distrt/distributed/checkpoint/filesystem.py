"""Facade: PyTorch's ``torch.distributed.checkpoint.filesystem``."""

from distrt.checkpoint.storage import FileSystemReader, FileSystemWriter

__all__ = ["FileSystemReader", "FileSystemWriter"]
