-- The predictions of one stream as an external table over its date=YYYY-MM-DD/ folders.
--
-- Change the two paths to the stream's --output-path, and sentiment to the dataset you want. The pattern names the
-- files of the date= folders alone: what lies in _staging/ is not finished yet.
-- Columns: as the stream and score_batch.py write them; tests compare this list with theirs.
CREATE SCHEMA IF NOT EXISTS sentiment;

CREATE OR REPLACE EXTERNAL TABLE sentiment.predictions (
  id STRING,
  text STRING,
  prediction FLOAT64,
  sentiment STRING,
  score FLOAT64,
  label FLOAT64,
  model_name STRING,
  model_version STRING,
  event_time TIMESTAMP,
  ingest_time TIMESTAMP,
  batch_id INT64,
  query_id STRING,
  source STRING
)
WITH PARTITION COLUMNS (date DATE)
OPTIONS (
  description = 'One row per message: what the model said, which version said it, and the label where there is one',
  format = 'PARQUET',
  uris = ['gs://sentiment-bucket-predictions/predictions/twitter-sentiment-model-best/date=*.parquet'],
  hive_partition_uri_prefix = 'gs://sentiment-bucket-predictions/predictions/twitter-sentiment-model-best',
  require_hive_partition_filter = TRUE
);
