"""Facade: the older address of ``distributed.device_mesh``."""

from distrt.distributed.device_mesh import DeviceMesh, init_device_mesh

__all__ = ["DeviceMesh", "init_device_mesh"]
