"""Data parallelism: NaiveDDP, DistributedDataParallel and the buckets that gradients live in."""
