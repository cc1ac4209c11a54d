"""Arrays, operations and automatic differentiation: everything that runs in one process without modules."""
