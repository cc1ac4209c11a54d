"""Facade: meshes of ranks at the path that PyTorch users type. The room is ``distrt.comm``."""

from distrt.comm.mesh.device_mesh import DeviceMesh, init_device_mesh
from distrt.comm.mesh.device_mesh import _mesh_resources as _mesh_resources

__all__ = ["DeviceMesh", "init_device_mesh"]
