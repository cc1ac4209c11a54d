"""NCCL: how ranks exchange what is in the memory of their GPUs.

A group has a lane for GPUs (`group.GpuGroup`) beside the transport that carries what is in the memory of the CPU, and
that lane's ranks find one another through it. `transport` says what is asked of NCCL, `engine` queues it on a stream of
its own and watches over it, `channel` is a communicator and its stream.
"""
