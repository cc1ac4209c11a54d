"""Facade: PyTorch's ``torch.distributed.checkpoint.format_utils``."""

from distrt.checkpoint.conversion import dcp_to_torch_save, torch_save_to_dcp

__all__ = ["dcp_to_torch_save", "torch_save_to_dcp"]
