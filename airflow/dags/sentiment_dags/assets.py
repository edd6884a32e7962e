"""What DAGs tell each other."""

from airflow.sdk import Asset

MODEL = Asset("sentiment-model")
"""The champion moved. Extra: model (registered name), version."""
