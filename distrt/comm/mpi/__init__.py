"""The network between machines by MPI: its start, its messages, the memory of GPUs."""
