"""A server of the Dataproc v1 API on this machine: its jobs are real spark-submits."""
