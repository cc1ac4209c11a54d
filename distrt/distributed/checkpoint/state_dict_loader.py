"""Facade: PyTorch's ``torch.distributed.checkpoint.state_dict_loader``."""

from distrt.checkpoint.state_dicts import load, load_state_dict

__all__ = ["load", "load_state_dict"]
