"""What is asked for: the command line, and the commands beside a job (doctor, report, top, trace)."""
