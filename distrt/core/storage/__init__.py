"""The memory under tensors: seen as one row, shared between processes, sealed, copied."""
