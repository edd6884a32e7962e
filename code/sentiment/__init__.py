"""The package that every job script shares: one way in, script → package."""

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a job talks to the servers that it was given, no others
