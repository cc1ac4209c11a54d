"""The ranks of one machine, connected by shared memory."""

from distrt.comm.shm.transport import ShmTransport, Store

__all__ = ["ShmTransport", "Store"]
