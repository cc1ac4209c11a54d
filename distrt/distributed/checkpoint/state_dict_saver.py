"""Facade: PyTorch's ``torch.distributed.checkpoint.state_dict_saver``."""

from distrt.checkpoint.state_dicts import async_save, save, save_state_dict

__all__ = ["async_save", "save", "save_state_dict"]
