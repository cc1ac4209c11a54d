"""Facade: tensors that lie on several ranks, at the path that PyTorch users type. The room is ``distrt.parallel``."""

from distrt.comm.mesh.device_mesh import DeviceMesh, init_device_mesh
from distrt.parallel.distributed_tensors.distributing import distribute_module, distribute_tensor
from distrt.parallel.distributed_tensors.making import empty, full, ones, rand, randn, zeros
from distrt.parallel.distributed_tensors.placements import Partial, Placement, Replicate, Shard
from distrt.parallel.distributed_tensors.tensor import DTensor

__all__ = [
    "DTensor",
    "DeviceMesh",
    "Partial",
    "Placement",
    "Replicate",
    "Shard",
    "distribute_module",
    "distribute_tensor",
    "empty",
    "full",
    "init_device_mesh",
    "ones",
    "rand",
    "randn",
    "zeros",
]
