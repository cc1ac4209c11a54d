"""The ranks of one machine: started, watched over, and ended."""
