"""The launcher: starts the ranks of a job, watches over them, and ends them. Standard library only."""
