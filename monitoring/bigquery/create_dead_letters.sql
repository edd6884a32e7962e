-- The dead letters of one stream as an external table over its date=YYYY-MM-DD/ folders.
--
-- Change the two paths to the stream's --output-path with -dead-letters behind it, and sentiment to the dataset you
-- want. A file of its own: a stream that never met a bad message has written no dead letters.
-- Columns: as the stream and score_batch.py write them; tests compare this list with theirs.
CREATE SCHEMA IF NOT EXISTS sentiment;

CREATE OR REPLACE EXTERNAL TABLE sentiment.dead_letters (
  payload BYTES,
  payload_length INT64,
  payload_sha256 STRING,
  reason STRING,
  source STRING,
  ingest_time TIMESTAMP,
  batch_id INT64,
  query_id STRING
)
WITH PARTITION COLUMNS (date DATE)
OPTIONS (
  description = 'One row per message that could not be scored: its first 64 kB, where it came from, and why',
  format = 'PARQUET',
  uris = ['gs://sentiment-bucket-predictions/predictions/twitter-sentiment-model-best-dead-letters/date=*.parquet'],
  hive_partition_uri_prefix = 'gs://sentiment-bucket-predictions/predictions/twitter-sentiment-model-best-dead-letters',
  require_hive_partition_filter = TRUE
);
