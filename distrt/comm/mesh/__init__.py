"""The ranks of a job as an array with named dims."""
