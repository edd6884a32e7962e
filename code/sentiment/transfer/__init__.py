"""Data sets from Kaggle to a local folder, and a local folder to a bucket; no Spark."""
