"""Communication hooks of ``DistributedDataParallel``: what may average a bucket in the place of the all-reduce.

Their public path is ``distrt.distributed.algorithms.ddp_comm_hooks``.
"""
