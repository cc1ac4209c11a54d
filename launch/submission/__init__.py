"""``distrt-launch submit``: a job as a batch system takes it; see docs/clusters.md."""
