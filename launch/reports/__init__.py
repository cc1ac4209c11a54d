"""What is shown and kept of a job: lines, files of the run directory, events."""
